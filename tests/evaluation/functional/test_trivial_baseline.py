import numpy as np
import pytest

from seg.datasets.shapes import SHAPES_THINGS, ShapesWorld
from seg.evaluation.functional import PQStat, pq_stat
from seg.evaluation.functional.trivial_baseline import (
    copy_first_masks,
    mask_by_color,
    mean_class_colors,
    panoptic_by_color,
)

RED, BLUE = (220, 30, 30), (30, 30, 220)


@pytest.fixture
def picture() -> np.ndarray:
    """Two red squares on blue."""
    image = np.full((60, 80, 3), BLUE, np.uint8)
    image[10:30, 10:30] = RED
    image[30:50, 50:70] = RED
    return image


def test_class_colors_are_means_over_known_pixels(picture):
    segment_map = np.full((60, 80), 2)
    segment_map[10:30, 10:30] = 1
    segment_map[30:50, 50:70] = 0
    colors = mean_class_colors([(picture, segment_map, np.array([0, 2]))], num_classes=3)
    np.testing.assert_allclose(colors, [RED, (128, 128, 128), BLUE])


def test_plain_colors_are_segmented(picture):
    segment_map, segments = panoptic_by_color(picture, np.array([RED, BLUE]), num_things=1)
    assert sorted(s['category_id'] for s in segments) == [0, 0, 1]
    assert len(np.unique(segment_map[[20, 40, 0], [20, 60, 0]])) == 3
    assert np.count_nonzero(segment_map == segment_map[20, 20]) == pytest.approx(400, abs=20)
    assert (segment_map > 0).all()


def test_regions_of_one_stuff_class_are_joined(picture):
    _, segments = panoptic_by_color(picture, np.array([BLUE, RED]), num_things=0)
    assert sorted(s['category_id'] for s in segments) == [0, 1]


def test_a_click_takes_the_connected_color(picture):
    mask = mask_by_color(picture, 20.5, 20.5)
    assert mask[20, 20] and not mask[40, 60] and not mask[0, 0]
    assert np.count_nonzero(mask) == pytest.approx(400, abs=10)


def test_first_masks_are_copied():
    masks = np.zeros((2, 4, 5), bool)
    masks[1, 2, 3] = True
    copied = copy_first_masks(masks, 3)
    assert copied.shape == (2, 3, 4, 5)
    assert (copied == masks[:, None]).all()


def test_the_baseline_stays_low_on_shapes():
    train, held_out = ShapesWorld(seed=0), ShapesWorld(seed=1)
    num_classes = 11
    known = [train.image(index) for index in range(20)]
    colors = mean_class_colors(
        ((s.clip[0], s.segment_map[0], s.labels) for s in known), num_classes
    )
    total = PQStat()
    for index in range(20):
        sample = held_out.image(index)
        segment_map, segments = panoptic_by_color(sample.clip[0], colors, len(SHAPES_THINGS))
        truth = [{'id': k, 'category_id': c} for k, c in enumerate(sample.labels.tolist(), 1)]
        total += pq_stat(segment_map, segments, sample.segment_map[0], truth)
    categories = {c: c < len(SHAPES_THINGS) for c in range(num_classes)}
    assert total.summary(categories)['All']['pq'] < 0.10
