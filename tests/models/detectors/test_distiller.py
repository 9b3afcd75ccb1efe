import pytest
import torch

from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM, randomize
from seg.testing.tiny_rapsam import toy_sample
from seg.utils.checks import UserError

STUDENT = dict(
    type='SamSegmentor', variant={**TOY_SAM, 'embed_dim': 16}, strategy=dict(type='TrainAll')
)
TEACHER = dict(type='SamSegmentor', variant=TOY_SAM)


def build(**settings):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='Distiller', **{'student': STUDENT, 'teacher': TEACHER, **settings})
    )
    randomize(model.teacher)
    return model.train()


def batch():
    clip, sample = toy_sample('interactive_image', size=(128, 128))
    sample.set_metainfo(dict(image_key='k1'))
    return dict(inputs=[clip], data_samples=[sample])


def losses_of(model):
    return model(**model.data_preprocessor(batch(), True), mode='loss')


def test_the_student_comes_nearer_to_the_teacher():
    model = build(kind='both')
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    values = []
    for _ in range(8):
        loss, _ = model.parse_losses(losses_of(model))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))

    assert values[-1] < 0.9 * values[0]
    assert all(p.grad is None for p in model.teacher.parameters())


def test_checkpoints_are_those_of_the_student():
    model = build()
    plain = MODELS.build(STUDENT)
    assert set(model.state_dict()) == set(plain.state_dict())
    plain.load_state_dict(model.state_dict())
    model.load_state_dict(MODELS.build(STUDENT).state_dict())
    assert not {id(p) for p in model.parameters()} & {id(p) for p in model.teacher.parameters()}


def test_labels_may_count_too():
    assert set(losses_of(build())) == {'loss_embed_mse'}
    with_labels = set(losses_of(build(label_weight=0.5)))
    assert {'loss_embed_mse', 'loss_seg', 'loss_iou'} <= with_labels


def test_cached_embeddings_of_the_teacher_give_the_same_loss(tmp_path):
    plain = losses_of(build())['loss_embed_mse']
    model = build(cache=dict(type='EmbeddingCache', folder=tmp_path))
    for _ in range(2):
        assert abs(float((losses_of(model)['loss_embed_mse'] - plain).detach())) < 1e-3
    assert len(list(tmp_path.rglob('*.bin'))) == 1


def test_a_teacher_of_another_canvas_is_resized():
    model = build(teacher={**TEACHER, 'image_size': 64})
    assert torch.isfinite(losses_of(model)['loss_embed_mse'])


def test_predictions_are_those_of_the_student():
    model = build().eval()
    with torch.no_grad():
        (found,) = model.test_step(batch())
        (alone,) = model.student.test_step(batch())
    assert torch.equal(found.pred_prompted.masks, alone.pred_prompted.masks)


def test_wrong_settings_are_named():
    with pytest.raises(UserError, match='expected a trained image encoder'):
        build(student=TEACHER)
    with pytest.raises(UserError, match=r"unknown Distiller\.kind 'kl'"):
        build(kind='kl')
    other = {**TOY_SAM, 'prompt_dim': 64}
    with pytest.raises(UserError, match='as many channels, got 32 of the student and 64'):
        losses_of(build(teacher={**TEACHER, 'variant': other}))
