"""Losses between student and teacher, by hand and by their gradients."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.detectors.model_trace import ModelView
from seg.models.losses import (
    DecoderAttentionDistillation,
    DecoderFeatureDistillation,
    DistillationSchedule,
    EmbeddingDistillation,
    EncoderAttentionDistillation,
    Lesson,
    MaskDistillation,
)
from seg.models.losses.distillation import bernoulli_divergence, teacher_iou
from seg.structures.prompted_masks import PromptedMasks
from seg.utils.checks import UserError


def view(masks=None, **fields):
    fields = {'embeddings': torch.zeros(1, 4, 2, 2), 'blocks': {}, **fields}
    if masks is not None:
        fields['masks'] = PromptedMasks(masks, torch.zeros(masks.shape[:2]))
    return ModelView(**fields)


def lesson(num=2, candidates=4, size=(4, 4), **fields):
    usable = torch.zeros(num, candidates, dtype=torch.bool)
    usable[:, 0] = True
    defaults = dict(
        usable=usable,
        teacher_choice=torch.zeros(num, dtype=torch.long),
        truth=torch.ones(num, *size),
        weights=torch.ones(num, *size),
        temperature=2.0,
    )
    return Lesson(**{**defaults, **fields})


def test_divergence_is_that_of_a_softmax_over_two_classes():
    student, teacher = torch.randn(5), torch.randn(5)
    pairs = [torch.stack([torch.zeros(5), z / 3.0], dim=-1) for z in (student, teacher)]
    log_student, log_teacher = (pair.log_softmax(dim=-1) for pair in pairs)
    expected = 9 * F.kl_div(log_student, log_teacher, reduction='none', log_target=True).sum(-1)
    assert torch.allclose(bernoulli_divergence(student, teacher, 3.0), expected, atol=1e-6)
    assert torch.equal(bernoulli_divergence(teacher, teacher, 3.0), torch.zeros(5))


@pytest.mark.parametrize('temperature', [1.0, 4.0, 1000.0])
def test_the_gradient_does_not_vanish_with_the_temperature(temperature):
    student, teacher = torch.randn(50).double().requires_grad_(), torch.randn(50).double()
    bernoulli_divergence(student, teacher, temperature).mean().backward()
    z, t = student.detach() / temperature, teacher / temperature
    assert torch.allclose(student.grad, temperature * (z.sigmoid() - t.sigmoid()) / 50)
    if temperature == 1000:
        assert torch.allclose(student.grad, (student.detach() - teacher) / 4 / 50, rtol=1e-3)


def test_masks_are_matched_and_only_the_nearest_candidate_learns():
    student = torch.randn(2, 4, 4, 4, requires_grad=True)
    teacher = torch.full((2, 4, 4, 4), 5.0)
    usable = torch.tensor([[True, False, False, False], [False, True, True, True]])
    given = lesson(usable=usable, teacher_choice=torch.tensor([0, 2]))
    MaskDistillation()(view(student), view(teacher), given)['mask'].backward()
    touched = student.grad.flatten(2).abs().sum(dim=2) > 0
    cells = bernoulli_divergence(student.detach(), teacher, 2.0).flatten(2).mean(dim=2)
    nearest = 1 + int(cells[1, 1:].argmin())
    assert touched.nonzero().tolist() == [[0, 0], [1, nearest]]


def test_a_teacher_that_is_wrong_is_not_followed():
    student = torch.zeros(2, 4, 4, 4, requires_grad=True)
    teacher = torch.full((2, 4, 4, 4), 5.0)
    teacher[1] = -5.0  # says that nothing is there, but everything is
    given = lesson()
    assert teacher_iou(teacher[:, 0], given).tolist() == [1.0, 0.0]
    loss = MaskDistillation(min_teacher_iou=0.7)(view(student), view(teacher), given)['mask']
    loss.backward()
    assert student.grad[0].any()
    assert not student.grad[1].any()
    expected = bernoulli_divergence(torch.zeros(1), torch.full((1,), 5.0), 2.0)[0]
    assert torch.isclose(loss, expected)
    nobody = lesson(truth=torch.zeros(2, 4, 4))
    assert MaskDistillation(min_teacher_iou=0.7)(view(student), view(teacher), nobody)['mask'] == 0


def test_cells_without_weight_and_finer_teachers():
    student, teacher = torch.zeros(1, 4, 4, 4), torch.full((1, 4, 4, 4), 5.0)
    weights = torch.ones(1, 4, 4)
    weights[:, 2:] = 0
    teacher[..., 2:, :] = -50.0
    found = MaskDistillation()(view(student), view(teacher), lesson(1, weights=weights))['mask']
    assert torch.isclose(found, bernoulli_divergence(torch.zeros(1), torch.full((1,), 5.0), 2.0)[0])
    fine = teacher[..., :2, :].repeat_interleave(4, dim=-2)
    assert MaskDistillation()(view(student), view(fine), lesson(1))['mask'] > 0


def test_equal_models_have_nothing_to_teach():
    maps = torch.rand(2, 3, 5, 4).softmax(dim=-1)
    blocks = {0: torch.randn(2, 8, 3, 3)}
    same = view(tokens=torch.randn(2, 5, 8), keys=(torch.randn(2, 8, 3, 3),), attention=(maps,),
                blocks=blocks, embeddings=torch.randn(2, 8, 2, 2))  # fmt: skip
    for part in (
        DecoderFeatureDistillation(),
        DecoderAttentionDistillation(),
        EncoderAttentionDistillation([(0, 0)]),
        EmbeddingDistillation(kind='both'),
    ):
        values = part(same, same, lesson())
        assert set(values) == set(part.names)
        assert all(abs(float(value)) < 1e-6 for value in values.values())


def test_attention_is_compared_place_by_place():
    student = torch.tensor([0.25, 0.25, 0.25, 0.25]).view(1, 1, 1, 4)
    teacher = torch.tensor([0.7, 0.1, 0.1, 0.1]).view(1, 1, 1, 4).expand(1, 2, 1, 4)
    found = DecoderAttentionDistillation()(
        view(attention=(student,)), view(attention=(teacher,)), lesson()
    )['attention']
    assert torch.isclose(found, (teacher[0, 0] * (teacher[0, 0] / 0.25).log()).sum())
    coarse = view(attention=(torch.ones(1, 2, 1, 1),), embeddings=torch.zeros(1, 4, 1, 1))
    assert DecoderAttentionDistillation()(view(attention=(student,)), coarse, lesson())[
        'attention'
    ].abs() < 1e-6  # fmt: skip


@pytest.mark.parametrize(
    ('mode', 'start', 'end'),
    [
        ('increase', (4.0, 0.9, 0.1), (1.0, 0.5, 0.5)),
        ('decay', (4.0, 0.5, 0.5), (1.0, 0.9, 0.1)),
        ('constant', (4.0, 0.7, 0.3), (4.0, 0.7, 0.3)),
    ],
)
def test_schedules_go_from_start_to_end(mode, start, end):
    schedule = DistillationSchedule(mode)
    assert schedule.at(0.0) == schedule.at(0.1) == pytest.approx(start)
    assert schedule.at(1.0) == pytest.approx(end)
    assert schedule.is_constant == (mode == 'constant')


def test_the_schedule_of_the_guide():
    """Epochs 10 and 27 of 50, of which 5 hold."""
    schedule = DistillationSchedule('increase')
    assert schedule.at(10 / 50) == pytest.approx((3.667, 0.856, 0.144), abs=1e-3)
    assert schedule.at(27 / 50) == pytest.approx((2.533, 0.704, 0.296), abs=1e-3)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(mode='rise'), r"unknown DistillationSchedule\.mode 'rise'"),
        (dict(hold=1.0), r'hold: expected a share in \[0, 1\), got 1'),
        (dict(temperature=(4, 1)), 'temperature: expected one number'),
        (
            dict(mode='decay', label_weight=(-1, 1)),
            'label_weight: expected one or two numbers of at least 0',
        ),
        (dict(mode='increase', temperature=(4, 2, 1)), r'one or two numbers .*, got \(4, 2, 1\)'),
        (dict(label_weight=float('inf')), 'label_weight: expected one number of at least 0'),
        (dict(teacher_weight=0), 'teacher_weight: expected more than 0 at some time, got 0'),
        (dict(temperature=0), 'temperature: expected more than 0'),
    ],
)
def test_wrong_schedules_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        DistillationSchedule(**settings)


def test_parts_that_could_never_count_are_refused():
    with pytest.raises(UserError, match='no teacher is that good, so nothing would be learned'):
        MaskDistillation(min_teacher_iou=1.0)
    with pytest.raises(UserError, match=r'DecoderFeatureDistillation\.weight: expected more than'):
        DecoderFeatureDistillation(weight=0)
    with pytest.raises(UserError, match=r'MaskDistillation\.weight: expected more than 0, got nan'):
        MaskDistillation(weight=float('nan'))


@pytest.mark.parametrize('blocks', [[1, 2], [(1, 2, 3)], [(0.5, 1)]])
def test_blocks_that_are_no_pairs_are_named(blocks):
    with pytest.raises(UserError, match=r'Distillation\.blocks: expected pairs \(block of the stu'):
        EncoderAttentionDistillation(blocks)
