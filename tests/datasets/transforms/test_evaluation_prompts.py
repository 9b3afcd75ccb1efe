import pytest
import torch

from seg.datasets import ShapesDataset
from seg.datasets.transforms import EvaluationPrompts, InteriorClickPrompts, PackClip, TestResize
from seg.evaluation.functional import mask_iou
from seg.utils.checks import UserError


@pytest.fixture
def named_sample(pattern_sample):
    def make(**settings):
        return {**pattern_sample(**settings), 'expressions': [None, 'the wide square', 'a crowd']}

    return make


def test_every_segment_is_prompted_in_every_way(named_sample):
    results = EvaluationPrompts()(named_sample())
    prompts = results['prompts']
    prompts.validate()
    assert results['prompt_kinds'] == ['click'] * 2 + ['box'] * 2 + ['mask'] * 2 + ['text']
    assert results['prompt_targets'].tolist() == [0, 1, 0, 1, 0, 1, 1]
    assert prompts.object_ids.tolist() == [7, 8, 7, 8, 7, 8, 8]
    assert prompts.texts == (None,) * 6 + ('the wide square',)
    assert prompts.boxes[2:4].tolist() == [[3, 2, 12, 10], [20, 12, 36, 22]]
    assert prompts.has_point.tolist() == [True] * 2 + [False] * 5


def test_clicks_are_the_interior_ones(named_sample):
    results = EvaluationPrompts(kinds=('click',))(named_sample())
    clicks = InteriorClickPrompts()(named_sample())['prompts']
    torch.testing.assert_close(results['prompts'].point_coords, clicks.point_coords)


def test_masks_are_off_by_a_fixed_amount():
    dataset = ShapesDataset(
        'interactive_image', num_samples=10, pipeline=[EvaluationPrompts(kinds=('mask',))]
    )
    ious = []
    for index in range(10):
        results = dataset[index]
        truth = results['masks'][results['prompt_targets'], 0]
        pairs = zip(results['prompts'].masks.numpy(), truth.numpy(), strict=True)
        ious += [mask_iou(prompt, mask) for prompt, mask in pairs]
    ious = torch.tensor(ious)
    assert ious.min() > 0.5
    assert 0.68 < ious.median() < 0.72
    assert ((ious - 0.7).abs() < 0.05).float().mean() > 0.85


def test_chance_plays_no_part(named_sample):
    first = EvaluationPrompts()(named_sample(seed=1))['prompts']
    again = EvaluationPrompts()(named_sample(seed=2))['prompts']
    assert torch.equal(first.masks, again.masks)
    torch.testing.assert_close(first.boxes, again.boxes, equal_nan=True)


def test_prompts_are_resized_with_the_clip(named_sample):
    results = PackClip()(TestResize((48, 80))(EvaluationPrompts()(named_sample())))
    prompts = results['data_samples'].prompts
    assert prompts.boxes[2:4].tolist() == [[6, 4, 24, 20], [40, 24, 72, 44]]
    assert prompts.masks.shape == (7, 48, 80)
    assert prompts.masks.dtype == torch.float32
    assert results['data_samples'].prompt_kinds[-1] == 'text'
    assert results['data_samples'].gt_segments.masks.shape[-2:] == (24, 40)


def test_samples_without_segments_can_be_resized(named_sample):
    sample = named_sample()
    sample['masks'][:2] = False
    results = TestResize((48, 80))(EvaluationPrompts()(sample))
    assert len(results['prompts']) == 0
    assert results['prompt_kinds'] == []


def test_unknown_kinds_are_refused():
    with pytest.raises(UserError, match=r"kinds: unknown prompt kind 'boxes'"):
        EvaluationPrompts(kinds=('boxes',))
