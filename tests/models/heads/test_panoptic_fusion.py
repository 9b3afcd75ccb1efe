"""From queries to panoptic maps and instances, against a plain loop."""

import pytest
import torch
from torch.nn import functional as F

from seg.benchmark.waits import count_waits
from seg.models.heads import PanopticFusion, resize_masks
from seg.models.heads.panoptic_fusion import MOST_KEPT
from seg.structures import PanopticData
from seg.utils.devices import as_if_ahead


def make_fusion(**settings):
    return PanopticFusion(3, 2, **settings)


def slow_panoptic(fusion, logits, scores, labels):
    """The published rule, one query after another; (label, pixels) of each segment."""
    probs = logits.sigmoid()
    owner = (scores.view(-1, 1, 1, 1) * probs).argmax(0) if len(scores) else None
    things, stuff = [], {}
    for k in range(len(scores)):
        own, inside = owner == k, probs[k] >= 0.5
        if own.sum() == 0 or inside.sum() == 0:
            continue
        if own.sum().item() / inside.sum().item() < fusion.iou_thr:
            continue
        region = own & inside if fusion.filter_low_score else own
        if not region.any():
            continue
        label = labels[k].item()
        if label < fusion.num_things:
            things.append((label, region))
        else:
            stuff[label] = stuff[label] | region if label in stuff else region
    return things + list(stuff.items())


def as_regions(result: PanopticData):
    return [(s.label, result.segment_map == s.id) for s in result.segments]


def blobs(num, frames=1, size=(20, 24), noise=1.0):
    """Smooth random logits with overlaps."""
    coarse = torch.randn(num * frames, 1, 4, 5) * 6
    logits = F.interpolate(coarse, size=size, mode='bilinear').view(num, frames, *size)
    return logits + noise * torch.randn(num, frames, *size)


@pytest.mark.parametrize('filter_low_score', [True, False])
@pytest.mark.parametrize('frames', [1, 3])
@pytest.mark.parametrize('iou_thr', [0.3, 0.8])
def test_map_equals_a_plain_loop(filter_low_score, frames, iou_thr):
    for seed in range(5):
        torch.manual_seed(seed)
        fusion = make_fusion(filter_low_score=filter_low_score, iou_thr=iou_thr)
        logits, scores = blobs(8, frames), torch.rand(8)
        labels = torch.randint(0, 5, (8,))
        result = fusion.panoptic(logits, scores, labels)
        expected = slow_panoptic(fusion, logits, scores, labels)
        with as_if_ahead():
            ahead = fusion.panoptic(logits, scores, labels)
        assert ahead.segment_map.equal(result.segment_map)
        assert ahead.segments == result.segments

        got = as_regions(result)
        assert len(got) == len(expected)
        for label, region in expected:
            assert any(label == lab and torch.equal(region, reg) for lab, reg in got)
        covered = sum((region for _, region in expected), torch.zeros_like(result.segment_map))
        assert torch.equal(result.segment_map == 0, covered == 0)


@pytest.mark.parametrize('num_queries', [1, 20, MOST_KEPT + 30])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.99999])
def test_what_runs_ahead_finds_the_same(num_queries, threshold):
    torch.manual_seed(0)
    fusion = make_fusion(object_mask_thr=threshold, iou_thr=0.1)
    logits, classes = blobs(num_queries, 2), 2 * torch.randn(num_queries, 6)
    index, scores, labels = fusion.kept(classes)
    expected = fusion.panoptic(logits[index], scores, labels)
    usual = fusion.find(classes, logits, also=[classes], on_host=True)
    with as_if_ahead():
        ahead = fusion.find(classes, logits)
        waits = count_waits(lambda: fusion.find(classes, logits))

    for found in (usual, ahead):
        assert found.data.segment_map.equal(expected.segment_map)
        assert found.data.segments == expected.segments
    assert ahead.segment_of == usual.segment_of
    assert usual.brought[0].tolist() == classes.tolist()
    assert waits.total() == (1 if len(index) <= MOST_KEPT else 3)
    first_rows = [usual.segment_of.index(segment.id) for segment in expected.segments]
    assert first_rows == sorted(first_rows)
    assert [classes[row, :5].argmax().item() for row in first_rows] == [
        segment.label for segment in expected.segments
    ]


@pytest.mark.parametrize('where', ['mask', 'classes'])
def test_what_is_no_number_in_a_dropped_query_harms_nothing(where):
    torch.manual_seed(0)
    fusion, logits = make_fusion(), blobs(4)
    classes = torch.zeros(4, 6)
    classes[1, 2] = 9.0
    expected = fusion.find(classes, logits).data
    (logits if where == 'mask' else classes)[3] = torch.nan
    with as_if_ahead():
        found = fusion.find(classes, logits).data

    assert len(found.segments) == 1
    assert found.segment_map.equal(expected.segment_map)


def test_many_kept_queries_are_all_seen():
    """The last of them alone has pixels."""
    num = MOST_KEPT + 1
    logits, classes = torch.full((num, 1, 4, 4), -9.0), torch.zeros(num, 6)
    logits[-1, ..., :2] = 9.0
    classes[:, 1] = 9.0
    with as_if_ahead():
        found = make_fusion().find(classes, logits)

    assert found.segment_of == [0] * (num - 1) + [1]
    assert found.data.segment_map[0, 0].tolist() == [1, 1, 0, 0]


def test_ids_count_up_and_say_what_they_are():
    logits = torch.full((3, 1, 4, 6), -9.0)
    for k in range(3):
        logits[k, ..., 2 * k : 2 * k + 2] = 9.0
    result = make_fusion().panoptic(
        logits, torch.tensor([0.9, 0.95, 0.99]), torch.tensor([1, 4, 1])
    )

    assert [(s.id, s.label, s.is_thing) for s in result.segments] == [
        (1, 1, True),
        (2, 4, False),
        (3, 1, True),
    ]
    assert result.segment_map.dtype == torch.int32
    assert result.segment_map[0, 0].tolist() == [1, 1, 2, 2, 3, 3]


def test_stuff_of_one_class_is_one_segment():
    logits = torch.full((2, 1, 4, 4), -9.0)
    logits[0, ..., :2] = logits[1, ..., 2:] = 9.0
    result = make_fusion().panoptic(logits, torch.tensor([0.9, 0.9]), torch.tensor([3, 3]))

    assert len(result.segments) == 1
    assert (result.segment_map == 1).all()


def test_nothing_kept_is_all_void():
    result = make_fusion().panoptic(
        torch.zeros(0, 2, 4, 5), torch.zeros(0), torch.zeros(0, dtype=torch.long)
    )

    assert result.segments == []
    assert result.segment_map.shape == (2, 4, 5)
    assert not result.segment_map.any()


def test_a_covered_query_is_dropped_and_its_pixels_are_void():
    logits = torch.full((2, 1, 1, 10), -9.0)
    logits[0, ..., :10] = 9.0
    logits[1, ..., :5] = 9.0
    # The second query wins half of the first one's pixels, which then keeps too little.
    result = make_fusion().panoptic(logits, torch.tensor([0.85, 0.99]), torch.tensor([0, 1]))

    assert [s.label for s in result.segments] == [1]
    assert result.segment_map[0, 0].tolist() == [1] * 5 + [0] * 5


def test_queries_below_the_threshold_and_no_object_are_not_kept():
    logits = torch.zeros(4, 6)
    logits[0, 2] = 9.0  # sure of a class
    logits[1, 5] = 9.0  # sure that there is nothing
    logits[2, 1] = 2.0  # unsure
    logits[3, 4] = 8.0
    index, scores, labels = make_fusion(object_mask_thr=0.8).kept(logits)

    assert index.tolist() == [0, 3]
    assert labels.tolist() == [2, 4]
    torch.testing.assert_close(scores, logits.softmax(-1)[[0, 3], [2, 4]])


def test_published_thresholds_are_the_defaults():
    fusion = make_fusion()

    assert (fusion.object_mask_thr, fusion.iou_thr, fusion.max_per_image) == (0.8, 0.8, 100)
    assert fusion.filter_low_score


def test_candidates_are_the_best_pairs_less_stuff():
    logits = torch.randn(4, 6)
    fusion = make_fusion(max_per_image=7)
    queries, scores, labels = fusion.candidates(logits)
    probs = logits.softmax(-1)
    pairs = sorted(((probs[q, k].item(), q, k) for q in range(4) for k in range(5)), reverse=True)
    expected = [(q, k) for _, q, k in pairs[:7] if k < 3]

    assert list(zip(queries.tolist(), labels.tolist(), strict=True)) == expected
    torch.testing.assert_close(scores, probs[queries, labels])


def test_fewer_pairs_than_wanted():
    queries, _, _ = make_fusion(max_per_image=100).candidates(torch.randn(2, 6))

    assert len(queries) == 6


def test_instances_are_scored_by_class_and_mask():
    logits = torch.full((2, 1, 4, 4), -5.0)
    logits[0, 0, :2, :2] = 1.0
    result = make_fusion().instances(logits, torch.tensor([0.5, 0.9]), torch.tensor([0, 2]))

    assert result.masks.dtype == torch.bool
    assert result.scores[0].item() == pytest.approx(0.5 * torch.tensor(1.0).sigmoid().item())
    assert result.scores[1].item() == 0  # an empty mask
    assert result.bboxes.tolist() == [[0, 0, 2, 2], [0, 0, 0, 0]]


def test_masks_are_resized_in_two_steps():
    logits = torch.randn(2, 3, 8, 10)
    result = resize_masks(logits, canvas=(32, 40), img_shape=(29, 33), ori_shape=(47, 51))
    canvas = F.interpolate(logits, size=(32, 40), mode='bilinear', align_corners=False)
    expected = F.interpolate(
        canvas[..., :29, :33], size=(47, 51), mode='bilinear', align_corners=False
    )

    assert result.shape == (2, 3, 47, 51)
    torch.testing.assert_close(result, expected)


def test_no_masks_to_resize():
    result = resize_masks(
        torch.zeros(0, 1, 8, 8), canvas=(32, 32), img_shape=(30, 31), ori_shape=(50, 60)
    )

    assert result.shape == (0, 1, 50, 60)
