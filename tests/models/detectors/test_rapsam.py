"""The whole network."""

import re

import pytest
import torch

from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_rapsam_cfg, toy_sample


@pytest.fixture(params=[True, False], ids=['faithful', 'sane'])
def model(request):
    torch.manual_seed(0)
    return MODELS.build(tiny_rapsam_cfg(faithful=request.param))


def prepare(model, task, sizes=((64, 64), (64, 64)), training=False, **settings):
    pairs = [toy_sample(task, size=s, seed=i, **settings) for i, s in enumerate(sizes)]
    data = dict(inputs=[c for c, _ in pairs], data_samples=[s for _, s in pairs])
    return model.data_preprocessor(data, training)


@pytest.mark.parametrize('task', ['panoptic', 'interactive_image'])
def test_training_lowers_the_loss(model, task):
    """A few steps on one batch, whose random points differ each time."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    data = prepare(model, task, training=True)
    history = []
    for _ in range(12):
        losses = model(**data, mode='loss')
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())

    assert sum(history[-3:]) < sum(history[:3])


def test_backbone_and_neck_learn_from_both_tasks(model):
    for task in ('panoptic', 'interactive_image'):
        model.zero_grad()
        sum(model(**prepare(model, task, training=True), mode='loss').values()).backward()
        silent = [
            n
            for n, p in model.named_parameters()
            if n.startswith(('backbone.', 'neck.')) and (p.grad is None or not p.grad.any())
        ]
        assert silent == []


def test_odd_and_different_sizes_in_one_batch(model):
    sizes = ((61, 50), (33, 70))
    for task in ('panoptic', 'interactive_image'):
        samples = model.eval()(**prepare(model, task, sizes), mode='predict')
        for sample, size in zip(samples, sizes, strict=True):
            if task == 'panoptic':
                assert sample.pred_panoptic.segment_map.shape == (1, *size)
            else:
                assert sample.pred_prompted.masks.shape == (3, 1, 1, *size)


def test_an_image_equals_a_clip_of_one_frame_and_frames_are_independent_in_the_neck(model):
    model.eval()
    data = prepare(model, 'panoptic')
    as_images = model.extract_feat(data['inputs']).mask_features
    as_clip = model.extract_feat(data['inputs'].transpose(0, 1)).mask_features

    assert as_images.shape == (2, 1, 16, 16, 16)
    torch.testing.assert_close(as_clip[0], as_images[:, 0])


def test_two_pictures_in_a_batch_equal_two_batches(model):
    model.eval()
    data = prepare(model, 'panoptic')
    together = model(data['inputs'])
    for i in range(2):
        apart = model(data['inputs'][i : i + 1])
        torch.testing.assert_close(
            together[-1].mask_logits[i], apart[-1].mask_logits[0], atol=1e-4, rtol=1e-4
        )


def test_clips_can_be_predicted_and_trained(model):
    data = prepare(model, 'panoptic', training=True, num_frames=2)
    assert all(torch.isfinite(loss) for loss in model(**data, mode='loss').values())
    samples = model.eval()(**prepare(model, 'panoptic', num_frames=2), mode='predict')
    assert samples[0].pred_panoptic.segment_map.shape == (2, 64, 64)


@pytest.mark.parametrize('task', ['panoptic', 'interactive_image'])
def test_mixed_precision_trains_and_agrees_with_full_precision(model, task):
    data = prepare(model, task, training=True)
    torch.manual_seed(0)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(**data, mode='loss')
    sum(losses.values()).backward()

    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    torch.manual_seed(0)
    full = model(**data, mode='loss')
    for name in losses:
        if name.endswith('dice'):
            torch.testing.assert_close(losses[name], full[name], atol=0.05, rtol=0.05)


def test_predictions_cannot_be_left_at_network_size(model):
    with pytest.raises(ValueError, match='original size'):
        model.predict(torch.zeros(1, 1, 3, 32, 32), [], rescale=False)


def test_state_survives_a_round_trip(model):
    other = MODELS.build(tiny_rapsam_cfg(faithful='DeformUpBlock' in str(model.neck)))
    other.load_state_dict(model.state_dict())
    data = prepare(model, 'panoptic')

    torch.testing.assert_close(
        model.eval()(data['inputs'])[-1].mask_logits, other.eval()(data['inputs'])[-1].mask_logits
    )


def test_no_device_is_named_in_the_package(repository):
    """Devices come from tensors; who chooses one or measures it knows of GPUs, and nobody else.

    But for graphs, which only CUDA has, what must not become part of one by chance, pinned memory,
    and the operator that torchvision starts on one stream.
    """
    knowing = ('engine/', 'apis/', 'benchmark/', 'models/deployment/graphing.py')
    knowing += ('utils/constants.py', 'utils/devices.py', 'models/necks/deform_conv.py')
    names = {
        path.relative_to(repository / 'seg').as_posix()
        for path in (repository / 'seg').rglob('*.py')
        if re.search(r'cuda', path.read_text(encoding='utf-8'))
    }

    assert [name for name in sorted(names) if not name.startswith(knowing)] == []


def test_the_engine_and_the_api_put_nothing_on_a_gpu_by_name(repository):
    for folder in ('engine', 'apis'):
        for path in (repository / 'seg' / folder).rglob('*.py'):
            text = path.read_text(encoding='utf-8')
            assert not re.search(r"\.cuda\(|\.to\(['\"]cuda|device=['\"]cuda", text), path


def test_a_head_that_reads_context_needs_a_neck_that_gives_it():
    cfg = tiny_rapsam_cfg(faithful=True)  # without context
    cfg['head']['stage']['context_attention'] = True
    with pytest.raises(ValueError, match=r'model\.neck\.context: expected True'):
        MODELS.build(cfg)
    cfg['neck']['context'] = True
    assert MODELS.build(cfg).neck.gives_context
