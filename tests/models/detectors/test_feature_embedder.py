"""Backbone and neck learn from a teacher, and a whole model starts from what they learned."""

import pytest
import torch

from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_rapsam_cfg, toy_sample
from seg.utils.checkpoints import load_weights
from seg.utils.checks import UserError

WHOLE = tiny_rapsam_cfg(faithful=False)
EMBEDDER = dict(type='FeatureEmbedder', backbone=WHOLE['backbone'], neck=WHOLE['neck'])
WIDER = dict(EMBEDDER, neck=dict(EMBEDDER['neck'], feat_channels=24))


def distiller(teacher=EMBEDDER, **settings):
    torch.manual_seed(0)
    model = MODELS.build(dict(type='Distiller', student=EMBEDDER, teacher=teacher, **settings))
    model.begin_step(0.0)
    return model.train()


def batch(num_frames=1):
    clip, sample = toy_sample('panoptic', num_frames=num_frames)
    return dict(inputs=[clip], data_samples=[sample])


def test_features_come_nearer_to_those_of_the_teacher():
    model = distiller(parts=[dict(type='EmbeddingDistillation', kind='both')])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    teacher = [value.clone() for value in model.teacher.state_dict().values()]
    totals = []
    for _ in range(6):
        losses = model(**model.data_preprocessor(batch(num_frames=2), True), mode='loss')
        assert {'loss_embed_mse', 'loss_embed_cosine'} <= set(losses)
        total, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.8 * totals[0]
    kept = model.teacher.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(teacher, kept, strict=True))


def test_its_checkpoint_starts_a_whole_model():
    state = distiller().state_dict()
    whole = MODELS.build(WHOLE)
    names = {name for name in whole.state_dict() if name.startswith(('backbone.', 'neck.'))}
    assert set(state) == names
    whole.load_state_dict(state, strict=False)
    assert torch.equal(whole.neck.out_conv.weight, state['neck.out_conv.weight'])


def test_a_whole_model_fills_it(tmp_path):
    whole = MODELS.build(WHOLE)
    torch.save(whole.state_dict(), tmp_path / 'whole.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'whole.pth'))
    model = distiller(teacher=dict(EMBEDDER, init_cfg=init))
    model.init_weights()
    clip = torch.rand(1, 1, 3, 64, 64)
    wanted = whole.eval().extract_feat(clip).mask_features[:, 0]
    torch.testing.assert_close(model.teacher.extract_feat(clip), wanted)
    partial = {k: v for k, v in whole.state_dict().items() if k.startswith('backbone.')}
    with pytest.raises(UserError, match='neck'):
        load_weights(model.teacher, partial)


def test_another_width_is_projected_outside_of_the_student():
    with pytest.raises(UserError, match='expected embeddings of as many channels, got 16'):
        distiller(WIDER)
    model = distiller(WIDER, parts=[dict(type='ProjectedEmbeddingDistillation')])
    losses = model(**model.data_preprocessor(batch(), True), mode='loss')
    losses['loss_embed'].backward()
    assert model.parts[0].projection.weight.grad.abs().sum() > 0
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert not any('projection' in name for name in model.state_dict())
    assert any('projection' in name for name in model.steering_state())


def test_what_features_alone_cannot_do_is_refused():
    labels = dict(label_weight=0.5, teacher_weight=0.5)
    with pytest.raises(UserError, match='label_weight=0 for a FeatureEmbedder'):
        distiller(schedule=labels)
    with pytest.raises(UserError, match='got FeatureEmbedder'):
        distiller(parts=[dict(type='MaskDistillation')])
    with pytest.raises(UserError, match='expected a teacher with a canvas'):
        distiller(cache=dict(type='EmbeddingCache', folder='unused'))
    model = MODELS.build(EMBEDDER)
    data = model.data_preprocessor(batch(), True)
    with pytest.raises(UserError, match='expected to be trained by a Distiller'):
        model(**data, mode='loss')
    with pytest.raises(UserError, match='a training without validation'):
        model(**data, mode='predict')
    assert model(**data, mode='tensor').shape == (1, 16, 16, 16)
