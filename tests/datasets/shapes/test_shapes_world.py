"""The world is a pure function of its arguments and stays what version 1 was."""

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS, ShapesSample, ShapesWorld
from seg.datasets.shapes.outlines import OUTLINES, UNIT_AREA, cover
from seg.datasets.shapes.sample import find_occlusions
from seg.datasets.shapes.scene import rotation
from seg.datasets.shapes.world import MIN_SIZE

GOLDEN = Path(__file__).with_name('golden_shapes_v1.json')
CASES = {
    'image 0': ((128, 160), 0, 0, 1),
    'image 7': ((128, 160), 0, 7, 1),
    'image 123456 of seed 9': ((128, 160), 9, 123456, 1),
    'portrait image': ((96, 64), 3, 5, 1),
    'large image': ((300, 500), 1, 2, 1),
    'clip of 5': ((128, 160), 0, 1, 5),
    'clip of 24': ((128, 160), 0, 3, 24),
}


def fingerprint(sample: ShapesSample) -> dict:
    """What must not change, in numbers that another build of OpenCV reproduces.

    A hash of the bytes would not do: OpenCV's fills, warps and blurs differ by a grey level, or
    by a pixel along an edge, between versions and processors.
    """
    last = len(sample.clip) - 1
    grids = [cv2.resize(sample.clip[t], (5, 4), interpolation=cv2.INTER_AREA) for t in (0, last)]
    return {
        'labels': sample.labels.tolist(),
        'colors': list(sample.colors),
        'textures': list(sample.textures),
        'expressions': sample.expressions,
        'first_areas': sample.visible_areas[:, 0].tolist(),
        'last_areas': sample.visible_areas[:, last].tolist(),
        'grids': np.stack(grids).tolist(),
    }


def draw(case: str) -> ShapesSample:
    size, seed, index, num_frames = CASES[case]
    return ShapesWorld('v1', seed, size).clip(index, num_frames)


@pytest.mark.parametrize('case', CASES)
def test_version_1_never_changes(case):
    # Written by another process on another day, so it shows independence of the process as well.
    expected = json.loads(GOLDEN.read_text())[case]
    found = fingerprint(draw(case))
    for key in ('labels', 'colors', 'textures', 'expressions'):
        assert found[key] == expected[key]
    for key in ('first_areas', 'last_areas'):
        np.testing.assert_allclose(found[key], expected[key], rtol=0.02, atol=4)
    np.testing.assert_allclose(found['grids'], expected['grids'], atol=2)


def test_a_sample_does_not_depend_on_what_was_drawn_before():
    world = ShapesWorld(seed=4)
    first = world.clip(11, 3)
    world.image(2)
    np.random.default_rng(0).random(5)
    again = world.clip(11, 3)
    assert (first.clip == again.clip).all()
    assert (first.segment_map == again.segment_map).all()
    assert first.expressions == again.expressions


def test_seeds_and_indices_give_different_samples():
    pictures = [ShapesWorld(seed=s).image(i).clip for s in (0, 1) for i in (0, 1)]
    pairs = [(a, b) for a in range(4) for b in range(a)]
    assert all((pictures[a] != pictures[b]).mean() > 0.5 for a, b in pairs)


def test_an_image_is_a_clip_of_one_frame():
    world = ShapesWorld()
    assert (world.image(3).clip == world.clip(3, 1).clip).all()


@pytest.mark.parametrize('num_frames', [1, 2, 7])
@pytest.mark.parametrize('size', [(48, 48), (65, 131)])
def test_shapes_types_and_ids(size, num_frames):
    sample = ShapesWorld(size=size).clip(0, num_frames)
    num = len(sample.labels)
    assert sample.clip.shape == (num_frames, *size, 3) and sample.clip.dtype == np.uint8
    assert sample.segment_map.shape == (num_frames, *size)
    assert sample.segment_map.dtype == np.int32
    assert np.unique(sample.segment_map).tolist() == list(range(1, num + 1))
    assert sample.object_ids.tolist() == list(range(1, num + 1))
    assert (sample.is_thing == (sample.labels < len(SHAPES_THINGS))).all()
    assert sample.labels.max() < len(SHAPES_THINGS) + len(SHAPES_STUFF)
    assert len(sample.expressions) == len(sample.colors) == len(sample.textures) == num
    stuff = sample.labels[~sample.is_thing].tolist()
    assert len(set(stuff)) == len(stuff) >= 2


def test_annotations_are_those_of_the_clip():
    world = ShapesWorld(seed=2)
    known, sample = world.annotations(6, 4), world.clip(6, 4)
    assert (known.segment_map == sample.segment_map).all()
    assert known.expressions == sample.expressions
    counted = [(sample.segment_map == k + 1).sum(axis=(1, 2)) for k in range(len(sample.labels))]
    assert (np.array(counted) == known.visible_areas).all()
    assert (known.inside_areas[known.is_thing] >= known.visible_areas[known.is_thing]).all()
    assert (known.full_areas >= known.inside_areas).all()


def on_canvas(covered):
    canvas = np.zeros((128, 128), bool)
    covered.window(canvas)[:] = covered.mask
    return canvas


def test_mirrored_outlines_keep_their_class():
    # Chirality must not matter: mirrored about some axis each outline covers itself.
    for name, outline in zip(SHAPES_THINGS, OUTLINES, strict=True):
        placed = cover(outline.points * 30 + 64, outline.splits, (128, 128))
        mirrored = outline.points * (-1, 1)
        overlaps = []
        for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
            points = mirrored @ rotation(angle).T * 30 + 64
            other = cover(points, outline.splits, (128, 128))
            both = on_canvas(placed) & on_canvas(other)
            overlaps.append(both.sum() / (on_canvas(placed) | on_canvas(other)).sum())
        assert max(overlaps) > 0.93, name


def test_outlines_of_one_radius_have_one_area():
    for name, outline in zip(SHAPES_THINGS, OUTLINES, strict=True):
        covered = cover(outline.points * 40 + 100, outline.splits, (200, 200))
        assert covered.full_area == pytest.approx(UNIT_AREA * 40**2, rel=0.06), name


def test_an_outline_over_the_border_keeps_its_full_area():
    square = OUTLINES[SHAPES_THINGS.index('square')]
    inside = cover(square.points * 20 + 64, (), (128, 128))
    halved = cover(square.points * 20 + (0, 64), (), (128, 128))
    assert halved.full_area == inside.full_area
    assert np.count_nonzero(halved.mask) == pytest.approx(inside.full_area / 2, rel=0.05)
    assert cover(square.points * 20 - 100, (), (128, 128)) is None


def test_full_occlusions_are_found_by_their_length():
    inside = np.full((4, 24), 100)
    visible = inside.copy()
    visible[0, 5:10] = 0  # five frames
    visible[1, 5:21] = 0  # sixteen
    visible[2, 12:] = 0  # not seen again
    visible[3, 5:9] = 0  # four
    assert [case.thing for case in find_occlusions(visible, inside)] == [0]


def test_forty_images_take_less_than_a_second_of_one_core():
    world = ShapesWorld()
    world.image(0)
    start = time.process_time()
    for index in range(40):
        world.image(index)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'version': 'v2'}, "unknown version of Shapes 'v2': expected one of v1"),
        ({'seed': -1}, 'seed: expected an integer >= 0, got -1'),
        ({'size': (MIN_SIZE - 1, 160)}, 'size: expected .* at least 48 pixels'),
    ],
)
def test_bad_worlds_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShapesWorld(**arguments)


def test_bad_samples_are_named():
    with pytest.raises(ValueError, match='index: expected an integer >= 0, got -1'):
        ShapesWorld().image(-1)
    with pytest.raises(ValueError, match='num_frames: expected an integer >= 1, got 0'):
        ShapesWorld().clip(0, 0)
