"""Masks of large photos, resized a few at a time: the same results, never all in memory."""

import pytest
import torch

from seg.models.heads import PanopticFusion, mask_resizing, resize_masks
from seg.models.heads.mask_resizing import resized_bands, resized_binary_masks, resized_chunks
from seg.registry import MODELS
from seg.structures import Task
from seg.testing.tiny_rapsam import tiny_rapsam_cfg, toy_sample

SIZES = dict(canvas=(32, 40), img_shape=(29, 33), ori_shape=(47, 51), sharpen=None)


@pytest.fixture
def chunk(monkeypatch):
    """Set how many masks of two frames at SIZES fit in a chunk."""

    def set_chunk(num_masks):
        pixels = num_masks * 2 * 47 * 51
        monkeypatch.setattr(mask_resizing, 'CHUNK_PIXELS', pixels)

    return set_chunk


def make_fusion(**settings):
    return PanopticFusion(3, 2, iou_thr=0.2, **settings)


@pytest.mark.parametrize(('fits', 'steps'), [(0, [1] * 7), (3, [3, 3, 1]), (100, [7])])
def test_chunks_are_the_whole(chunk, fits, steps):
    logits = torch.randn(7, 2, 8, 10)
    chunk(fits)
    rows, parts = zip(*resized_chunks(logits, SIZES), strict=True)

    assert [len(part) for part in parts] == steps
    assert torch.equal(torch.cat([torch.arange(7)[row] for row in rows]), torch.arange(7))
    torch.testing.assert_close(torch.cat(parts), resize_masks(logits, **SIZES))


def test_masks_at_their_size_are_only_split(chunk):
    logits = torch.randn(3, 2, 47, 51)
    chunk(2)

    assert torch.equal(torch.cat([part for _, part in resized_chunks(logits, None)]), logits)


def test_binary_masks_of_chunks(chunk):
    logits = torch.randn(5, 2, 8, 10)
    chunk(2)

    assert torch.equal(resized_binary_masks(logits, SIZES), resize_masks(logits, **SIZES) > 0)
    assert resized_binary_masks(logits[:0], SIZES).shape == (0, 2, 47, 51)


@pytest.mark.parametrize('filter_low_score', [True, False])
@pytest.mark.parametrize('fits', [1, 3, 100])
def test_a_map_made_in_chunks_is_the_map_made_at_once(chunk, fits, filter_low_score):
    """The rule on the whole stack of probabilities, as published."""
    fusion = make_fusion(filter_low_score=filter_low_score)
    for seed in range(4):
        torch.manual_seed(seed)
        logits, scores = 4 * torch.randn(8, 2, 8, 10), torch.rand(8)
        logits[5], scores[5] = logits[2], scores[2]  # the first of two equal queries wins
        labels = torch.arange(8) % 3
        chunk(fits)
        result = fusion.panoptic(logits, scores, labels, SIZES)

        probs = resize_masks(logits, **SIZES).sigmoid()
        owner = (scores.view(-1, 1, 1, 1) * probs).argmax(0)
        expected = torch.zeros_like(result.segment_map)
        kept = 0
        for k in range(8):
            own, inside = owner == k, probs[k] >= 0.5
            region = own & inside if filter_low_score else own
            if region.any() and inside.any() and own.sum() / inside.sum() >= 0.2:
                kept += 1
                expected[region] = kept
        assert kept > 1
        assert torch.equal(result.segment_map, expected)
        assert len(result.segments) == kept


def test_instances_of_one_query_share_its_mask(chunk):
    logits, scores = torch.randn(6, 2, 8, 10), torch.rand(5)
    queries, labels = torch.tensor([4, 1, 4, 0, 1]), torch.tensor([0, 1, 2, 0, 2])
    chunk(1)
    result = make_fusion().instances(logits, scores, labels, queries=queries, sizes=SIZES)
    full = resize_masks(logits, **SIZES)[queries]
    expected = make_fusion().instances(full, scores, labels)

    assert torch.equal(result.masks, full > 0)
    assert torch.equal(result.bboxes, expected.bboxes)
    torch.testing.assert_close(result.scores, expected.scores)
    inside = full[2].sigmoid()[full[2] > 0].mean()
    torch.testing.assert_close(result.scores[2], scores[2] * inside)


def test_no_candidates_no_instances():
    empty = torch.zeros(0, dtype=torch.long)
    result = make_fusion().instances(
        torch.randn(6, 2, 8, 10), torch.zeros(0), empty, queries=empty, sizes=SIZES
    )

    assert result.masks.shape == (0, 2, 47, 51)
    assert result.bboxes.shape == (0, 4)


@pytest.mark.parametrize('task', ['panoptic', 'interactive_image'])
def test_a_large_photo_is_never_resized_as_a_whole(monkeypatch, task):
    largest = 0

    def watched(mask_logits, **sizes):
        nonlocal largest
        result = resize_masks(mask_logits, **sizes)
        largest = max(largest, result.numel())
        return result

    fusion = dict(type='PanopticFusion', object_mask_thr=0.0)
    cfg = tiny_rapsam_cfg(num_mask_tokens=3)['head']
    head = MODELS.build({**cfg, 'fusion': fusion}).eval()
    _, sample = toy_sample(task)
    sample.set_metainfo(dict(batch_input_shape=(64, 64), ori_shape=(300, 400)))
    features = torch.randn(1, 1, 16, 16, 16)
    _, outputs = head.decode(features, None, [sample])
    whole = head.predict_by_feat(outputs[-1], Task.parse(task), [sample.clone()], features)[0]
    monkeypatch.setattr(mask_resizing, 'resize_masks', watched)
    monkeypatch.setattr(mask_resizing, 'CHUNK_PIXELS', 2 * 300 * 400)
    parts = head.predict_by_feat(outputs[-1], Task.parse(task), [sample.clone()], features)[0]

    assert 0 < largest <= 2 * 300 * 400
    if task == 'panoptic':
        assert torch.equal(parts.pred_panoptic.segment_map, whole.pred_panoptic.segment_map)
        assert torch.equal(parts.pred_instances.masks, whole.pred_instances.masks)
    else:
        assert torch.equal(parts.pred_prompted.masks, whole.pred_prompted.masks)


@pytest.mark.parametrize('pixels', [1, 7 * 2 * 51 * 3, 1 << 20])
@pytest.mark.parametrize(
    'sizes',
    [
        SIZES,
        dict(canvas=(32, 40), img_shape=(29, 33), ori_shape=(29, 33), sharpen=None),
        dict(canvas=(64, 96), img_shape=(64, 96), ori_shape=(20, 31), sharpen=None),
        dict(canvas=(32, 64), img_shape=(1, 64), ori_shape=(3, 50), sharpen=None),
    ],
)
def test_bands_are_the_whole(monkeypatch, sizes, pixels):
    monkeypatch.setattr(mask_resizing, 'BAND_PIXELS', pixels)
    logits = torch.randn(7, 2, sizes['canvas'][0] // 4, sizes['canvas'][1] // 4)
    rows, parts = zip(*resized_bands(logits, sizes), strict=True)

    height = sizes['ori_shape'][0]
    assert torch.equal(torch.cat([torch.arange(height)[row] for row in rows]), torch.arange(height))
    torch.testing.assert_close(torch.cat(parts, dim=2), resize_masks(logits, **sizes))


def test_bands_of_masks_at_their_size():
    logits = torch.randn(3, 2, 47, 51)

    assert torch.equal(torch.cat([part for _, part in resized_bands(logits, None)], dim=2), logits)
