import pytest
import torch
from mmengine.structures import InstanceData

from seg.models.data_preprocessors import ClipPreprocessor
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts

MEAN, STD = (10.0, 20.0, 30.0), (2.0, 4.0, 5.0)


def sample_of(size, num_frames=1, num_segments=2):
    sample = ClipSample(metainfo={'task': 'panoptic', 'img_shape': size})
    sample.gt_segments = InstanceData(
        masks=torch.ones(num_segments, num_frames, *size, dtype=torch.bool),
        labels=torch.zeros(num_segments, dtype=torch.long),
    )
    return sample


def clip_of(size, num_frames=1):
    return torch.randint(0, 256, (num_frames, 3, *size), dtype=torch.uint8)


def test_clips_are_normalised_then_padded_with_zeros():
    preprocessor = MODELS.build({'type': 'ClipPreprocessor', 'mean': MEAN, 'std': STD})
    clips = [clip_of((30, 40), 2), clip_of((33, 20), 2)]
    batch = preprocessor({'inputs': clips, 'data_samples': [sample_of((30, 40), 2)] * 2})
    inputs = batch['inputs']
    assert inputs.shape == (2, 2, 3, 64, 64)
    assert inputs.dtype == torch.float32
    for clip, got in zip(clips, inputs, strict=True):
        height, width = clip.shape[-2:]
        for channel in range(3):
            expected = (clip[:, channel].float() - MEAN[channel]) / STD[channel]
            torch.testing.assert_close(got[:, channel, :height, :width], expected)
        assert (got[..., height:, :] == 0).all()
        assert (got[..., width:] == 0).all()


def test_whole_numbers_normalise_as_fractions_do():
    whole = ClipPreprocessor(mean=(123, 116, 103), std=(58, 57, 57))
    exact = ClipPreprocessor(mean=(123.0, 116.0, 103.0), std=(58.0, 57.0, 57.0))
    data = {'inputs': [clip_of((32, 32))], 'data_samples': None}
    found = whole(dict(data))['inputs']
    assert found.dtype == torch.float32
    assert torch.equal(found, exact(dict(data))['inputs'])


def test_training_pads_ground_truth_with_false():
    sample = sample_of((30, 40), 2)
    batch = ClipPreprocessor()(
        {'inputs': [clip_of((30, 40), 2)], 'data_samples': [sample]}, training=True
    )
    masks = batch['data_samples'][0].gt_segments.masks
    assert masks.shape == (2, 2, 32, 64)
    assert masks.dtype == torch.bool
    assert masks.sum() == 2 * 2 * 30 * 40
    assert batch['data_samples'][0].batch_input_shape == (32, 64)
    assert batch['data_samples'][0].img_shape == (30, 40)


def test_evaluation_leaves_ground_truth_at_its_own_resolution():
    sample = sample_of((300, 400))
    batch = ClipPreprocessor()({'inputs': [clip_of((30, 40))], 'data_samples': [sample]})
    assert batch['data_samples'][0].gt_segments.masks.shape == (2, 1, 300, 400)


def test_the_fixed_canvas_is_for_training_only():
    preprocessor = ClipPreprocessor(pad_size=(70, 50))
    data = {'inputs': [clip_of((30, 40))], 'data_samples': [sample_of((30, 40))]}
    assert preprocessor(data)['inputs'].shape[-2:] == (32, 64)
    assert preprocessor(data, training=True)['inputs'].shape[-2:] == (96, 64)
    larger = {'inputs': [clip_of((100, 40))], 'data_samples': None}
    assert preprocessor(larger, training=True)['inputs'].shape[-2:] == (128, 64)


def test_mask_prompts_are_padded():
    sample = sample_of((30, 40))
    sample.prompts = Prompts.create(masks=torch.ones(1, 30, 40))
    batch = ClipPreprocessor()({'inputs': [clip_of((30, 40))], 'data_samples': [sample]})
    assert batch['data_samples'][0].prompts.masks.shape == (1, 32, 64)


def test_no_segments_and_stacked_inputs():
    data = {
        'inputs': torch.stack([clip_of((32, 32)), clip_of((32, 32))]),
        'data_samples': [sample_of((32, 32), num_segments=0) for _ in range(2)],
    }
    batch = ClipPreprocessor(pad_divisor=64)(data, training=True)
    assert batch['data_samples'][1].gt_segments.masks.shape == (0, 1, 64, 64)


def test_one_image_equals_the_same_image_in_a_batch():
    clips = [clip_of((30, 40)), clip_of((32, 64))]
    together = ClipPreprocessor()({'inputs': clips})['inputs']
    alone = ClipPreprocessor()({'inputs': clips[:1]})['inputs']
    torch.testing.assert_close(together[:1], alone)


def test_batch_transforms_apply_in_training_only():
    def halve(inputs, samples):
        return inputs / 2, samples

    data = {'inputs': [clip_of((32, 32))], 'data_samples': [sample_of((32, 32))]}
    plain, changed = ClipPreprocessor(), ClipPreprocessor(batch_transforms=[halve])
    torch.testing.assert_close(
        changed(data, training=True)['inputs'] * 2, plain(data, training=True)['inputs']
    )
    torch.testing.assert_close(changed(data)['inputs'], plain(data)['inputs'])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_a_batch_is_prepared_on_the_gpu():
    sample = sample_of((30, 40))
    sample.prompts = Prompts.create(points=torch.ones(1, 1, 2))
    data = {'inputs': [clip_of((30, 40))], 'data_samples': [sample]}
    batch = ClipPreprocessor(non_blocking=True).cuda()(data, training=True)
    moved = batch['data_samples'][0]
    assert batch['inputs'].is_cuda
    assert moved.gt_segments.masks.is_cuda
    assert moved.prompts.point_coords.is_cuda
    torch.testing.assert_close(
        batch['inputs'].cpu(), ClipPreprocessor()(data, training=True)['inputs']
    )


def test_nothing_of_it_is_saved_in_checkpoints():
    assert not ClipPreprocessor().state_dict()


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ([clip_of((32, 32), 1), clip_of((32, 32), 2)], r'clips of one length .* \[1, 2\]'),
        ([torch.zeros(1, 4, 8, 8)], r'expected clips \(T, 3, H, W\), got \(1, 4, 8, 8\)'),
        ([torch.zeros(3, 8, 8)], r'an image is a clip of one frame'),
        ([torch.zeros(1, 3, 0, 8)], r'expected clips'),
        ([], 'at least one clip'),
    ],
)
def test_wrong_batches_are_named(inputs, message):
    with pytest.raises(ValueError, match=message):
        ClipPreprocessor()({'inputs': inputs, 'data_samples': None})


def test_one_sample_per_clip():
    with pytest.raises(ValueError, match=r'expected one per clip \(1\), got 2'):
        ClipPreprocessor()(
            {'inputs': [clip_of((32, 32))], 'data_samples': [sample_of((32, 32))] * 2}
        )


def test_masks_larger_than_the_canvas_are_refused_in_training():
    data = {'inputs': [clip_of((32, 32))], 'data_samples': [sample_of((64, 64))]}
    with pytest.raises(ValueError, match=r'gt_segments.masks: expected at most'):
        ClipPreprocessor()(data, training=True)


@pytest.mark.parametrize('settings', [{'std': (1, 0, 1)}, {'mean': (1, 2)}, {'pad_divisor': 0}])
def test_nonsense_settings_are_refused(settings):
    with pytest.raises(ValueError, match='expected'):
        ClipPreprocessor(**settings)
