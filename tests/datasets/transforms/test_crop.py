import pytest
import torch

from seg.datasets.transforms import (
    ClipRandomCrop,
    DropSmallSegments,
    FrameRandomCrop,
    PseudoClip,
)


def check_prompts_lie_on_their_segment(results):
    prompts = results['prompts']
    assert len(prompts) == len(results['prompt_targets'])
    for row in range(len(prompts)):
        target = results['prompt_targets'][row]
        assert results['object_ids'][target] == prompts.object_ids[row]
        if prompts.has_point[row]:
            x, y = prompts.point_coords[row, 0].long().tolist()
            assert results['masks'][target, 0, y, x]


def test_crop_moves_pixels_masks_and_prompts_together(pattern_sample, mismatch):
    numbers = set()
    for seed in range(30):
        results = ClipRandomCrop((12, 18))(pattern_sample(seed=seed))
        assert results['clip'].shape == (1, 3, 12, 18)
        assert results['masks'].shape[1:] == (1, 12, 18)
        assert results['img_shape'] == (12, 18)
        assert mismatch(results) == 0
        check_prompts_lie_on_their_segment(results)
        masks = results['prompts'].masks
        assert torch.equal(masks.bool(), results['masks'][results['prompt_targets'], 0])
        numbers.add(len(results['labels']))
    assert len(numbers) > 1  # some crops lose segments


def test_crop_cuts_boxes(pattern_sample):
    for seed in range(30):
        results = ClipRandomCrop((12, 18))(pattern_sample(seed=seed))
        rows = results['prompts'].has_box
        for box, target in zip(
            results['prompts'].boxes[rows], results['prompt_targets'][rows], strict=True
        ):
            y, x = torch.nonzero(results['masks'][target, 0], as_tuple=True)
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_crop_drops_small_segments_but_keeps_crowds(pattern_sample):
    results = ClipRandomCrop((24, 40), min_area=100)(pattern_sample())
    assert results['object_ids'].tolist() == [8, 9]  # areas 72, 160, and a crowd of 20
    assert results['prompt_targets'].tolist() == [0]
    assert results['prompts'].object_ids.tolist() == [8]


def test_small_clips_keep_their_size(pattern_sample):
    results = ClipRandomCrop((100, 20))(pattern_sample())
    assert results['clip'].shape[-2:] == (24, 20)


def test_all_frames_get_one_window(pattern_sample):
    for seed in range(5):
        results = ClipRandomCrop((12, 18))(pattern_sample(num_frames=2, seed=seed))
        assert torch.equal(results['clip'][0], results['clip'][1])


def test_frame_crop_makes_frames_of_a_pseudo_clip_differ(pattern_sample, mismatch):
    differ = 0
    for seed in range(20):
        results = PseudoClip(2)(pattern_sample(seed=seed))
        results = FrameRandomCrop((12, 18))(results)
        assert results['clip'].shape == (2, 3, 12, 18)
        assert results['masks'].shape[1:] == (2, 12, 18)
        assert mismatch(results) == 0
        check_prompts_lie_on_their_segment(results)
        differ += not torch.equal(results['clip'][0], results['clip'][1])
    assert differ > 10


def test_a_crop_may_be_empty(pattern_sample):
    results = pattern_sample()
    results['masks'][:] = False
    results = ClipRandomCrop((4, 4))(results)
    assert results['masks'].shape == (0, 1, 4, 4)
    assert len(results['prompts']) == len(results['prompt_targets']) == 0


def test_pseudo_clip_refuses_clips(pattern_sample):
    with pytest.raises(ValueError, match=r'expected an image .* got 3 frames'):
        PseudoClip(2)(pattern_sample(num_frames=3))


def test_drop_small_segments_counts_the_best_frame(pattern_sample):
    results = pattern_sample(num_frames=2)
    results['masks'][1, 0] = False
    results = DropSmallSegments(100)(results)
    assert results['labels'].tolist() == [1, 2]


@pytest.mark.parametrize('build', [lambda: ClipRandomCrop((0, 3)), lambda: PseudoClip(0)])
def test_nonsense_settings_are_refused(build):
    with pytest.raises(ValueError, match='expected'):
        build()


def test_expressions_and_kinds_stay_in_step_with_dropped_rows(pattern_sample):
    results = pattern_sample()
    results['expressions'] = ['small', None, 'crowd']
    results['prompt_kinds'] = ['click', 'box']
    results = DropSmallSegments(min_area=100)(results)
    assert results['expressions'] == [None, 'crowd']
    assert results['prompt_kinds'] == ['box']
    assert len(results['prompts']) == len(results['prompt_targets']) == 1
