import numpy as np
import pytest
import torch

from ext.mmcv_ops import install

install()

from mmcv.ops import batched_nms, nms, nms_match, soft_nms  # noqa: E402


def random_boxes(num, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(num, 2, generator=generator) * 30
    sizes = torch.rand(num, 2, generator=generator) * 30 + 1
    return torch.cat([corners, corners + sizes], dim=1), torch.rand(num, generator=generator)


def iou(a, b, offset):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(x[2] - x[0] + offset) * (x[3] - x[1] + offset) for x in (a, b)]
    return width * height / (sum(areas) - width * height)


def slow_nms(boxes, scores, threshold, offset):
    boxes = boxes.tolist()
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[index], boxes[k], offset) <= threshold for k in kept):
            kept.append(index)
    return kept


def slow_soft_nms(boxes, scores, threshold, sigma, min_score, method):
    boxes, scores, left, kept = boxes.tolist(), scores.tolist(), list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: scores[i])
        kept.append((best, scores[best]))
        left.remove(best)
        for i in left:
            overlap = iou(boxes[best], boxes[i], 0)
            if method == 'gaussian':
                scores[i] *= np.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                scores[i] *= 0 if method == 'naive' else 1 - overlap
        left = [i for i in left if scores[i] >= min_score]
    return kept


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.2, 0.5, 0.8])
def test_nms_equals_slow_reference(threshold, offset):
    boxes, scores = random_boxes(40)
    dets, kept = nms(boxes, scores, threshold, offset=offset)
    assert kept.tolist() == slow_nms(boxes, scores, threshold, offset)
    torch.testing.assert_close(dets, torch.cat([boxes, scores[:, None]], 1)[kept])


def test_offset_changes_the_overlap_of_small_boxes():
    boxes, scores = torch.tensor([[0.0, 0, 3, 3], [2, 0, 5, 3]]), torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.25, offset=0)[1].tolist() == [0, 1]
    assert nms(boxes, scores, 0.25, offset=1)[1].tolist() == [0]


def test_nms_of_no_boxes():
    dets, kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)


def test_nms_of_numpy_double():
    boxes, scores = random_boxes(10)
    _, kept = nms(boxes.double().numpy(), scores.double().numpy(), 0.5)
    assert kept.tolist() == slow_nms(boxes, scores, 0.5, 0)


def test_batched_nms_keeps_classes_apart():
    boxes, scores = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 8]]), torch.tensor([0.9, 0.8])
    _, kept = batched_nms(boxes, scores, torch.tensor([0, 1]), dict(type='nms', iou_threshold=0.5))
    assert kept.tolist() == [0, 1]


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_equals_slow_reference(method):
    boxes, scores = random_boxes(30, seed=1)
    dets, kept = soft_nms(boxes, scores, 0.3, sigma=0.5, min_score=0.05, method=method)
    expected = slow_soft_nms(boxes, scores, 0.3, 0.5, 0.05, method)
    assert kept.tolist() == [index for index, _ in expected]
    torch.testing.assert_close(dets[:, 4].tolist(), [float(score) for _, score in expected])
    torch.testing.assert_close(dets[:, :4], boxes[kept])


def test_nms_match_groups_every_box_with_the_one_that_suppresses_it():
    boxes, scores = random_boxes(20, seed=2)
    groups = nms_match(torch.cat([boxes, scores[:, None]], 1), 0.4)
    assert [int(group[0]) for group in groups] == slow_nms(boxes, scores, 0.4, 0)
    assert sorted(int(i) for group in groups for i in group) == list(range(20))
    for group in groups:
        assert all(iou(boxes[group[0]].tolist(), boxes[i].tolist(), 0) >= 0.4 for i in group[1:])
        assert scores[group].diff().le(0).all()
