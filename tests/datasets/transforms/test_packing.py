import pytest
import torch

from seg.datasets.transforms import ClipFlip, PackClip, PseudoClip
from seg.registry import TRANSFORMS
from seg.structures import Task


def test_packing_keeps_everything(pattern_sample):
    results = pattern_sample(num_frames=2)
    packed = TRANSFORMS.build({'type': 'PackClip', 'meta_keys': ['note']})({**results, 'note': 3})
    sample = packed['data_samples']
    assert torch.equal(packed['inputs'], results['clip'])
    assert torch.equal(sample.gt_segments.masks, results['masks'])
    assert sample.gt_segments.is_crowd.tolist() == [False, False, True]
    assert sample.prompts is results['prompts']
    assert sample.prompt_targets.tolist() == [0, 1]
    assert sample.declared_task is Task.INTERACTIVE_IMAGE
    assert (sample.note, sample.ori_shape, sample.img_shape) == (3, (24, 40), (24, 40))


def test_packed_tensors_are_contiguous(pattern_sample):
    packed = PackClip()(PseudoClip(3)(ClipFlip(1.0)(pattern_sample())))
    assert packed['inputs'].is_contiguous()
    assert packed['data_samples'].gt_segments.masks.is_contiguous()


def test_packing_without_annotations(pattern_sample):
    results = {key: pattern_sample()[key] for key in ('clip', 'task')}
    sample = PackClip()(results)['data_samples']
    assert 'gt_segments' not in sample
    assert 'prompts' not in sample


def test_packed_samples_move_between_devices(pattern_sample):
    sample = PackClip()(pattern_sample())['data_samples'].to('cpu', non_blocking=True)
    assert len(sample.prompts) == len(sample.prompt_targets) == 2


@pytest.mark.parametrize('missing', ['clip', 'task'])
def test_packing_names_what_is_missing(pattern_sample, missing):
    results = pattern_sample()
    del results[missing]
    with pytest.raises(ValueError, match=rf"expected the keys \['{missing}'\]"):
        PackClip()(results)


def test_packing_refuses_unknown_tasks(pattern_sample):
    with pytest.raises(ValueError, match=r"unknown task 'panoptik'.*Did you mean 'panoptic'"):
        PackClip()({**pattern_sample(), 'task': 'panoptik'})
