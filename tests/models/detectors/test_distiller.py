"""Every part of distillation: it changes what the student learns, or says that it cannot."""

import pytest
import torch

from seg.models.detectors.model_trace import decode_traced
from seg.registry import MODELS
from seg.structures import Prompts
from seg.testing.reference_sam import TOY_SAM, randomize
from seg.testing.tiny_rapsam import toy_sample
from seg.testing.toy_efficient_sam import TOY_EFFICIENT_SAM
from seg.utils.checks import UserError

ALL, DECODER = dict(type='TrainAll'), dict(type='TrainDecoder')
SIZE = TOY_EFFICIENT_SAM['native_size']
SAM = dict(type='SamSegmentor', variant=TOY_SAM, image_size=SIZE)
STUDENT = dict(type='EfficientSamSegmentor', variant=TOY_EFFICIENT_SAM, strategy=DECODER)
TEACHER = dict(
    type='EfficientSamSegmentor', variant={**TOY_EFFICIENT_SAM, 'embed_dim': 36, 'depth': 3}
)
MASKS = dict(type='MaskDistillation', min_teacher_iou=0.0)
FEATURES, ATTENTION = (dict(type=f'Decoder{x}Distillation') for x in ('Feature', 'Attention'))
EMBEDDINGS = dict(type='EmbeddingDistillation')
BLOCKS, ACTIVITY = (
    dict(type=f'{x}Distillation', blocks=[(1, 2)]) for x in ('BlockFeature', 'EncoderAttention')
)
LABELS = dict(label_weight=0.5, teacher_weight=0.5)


def build(**settings):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='Distiller', **{'student': STUDENT, 'teacher': TEACHER, **settings})
    )
    randomize(model.student, 1)
    randomize(model.teacher, 2)
    model.begin_step(0.0)
    return model.train()


def boxes(*rows):
    return Prompts.create(boxes=torch.tensor(rows, dtype=torch.float32))


BOXES = boxes([2, 3, 30, 40], [20, 10, 60, 60])
MIXED = Prompts.create(
    points=torch.tensor([[[20.0, 30.0], [9.0, 9.0]], [[5.0, 50.0], [0, 0]], [[0, 0], [0, 0]]]),
    point_labels=torch.tensor([[1, 1], [1, -1], [-1, -1]]),
    boxes=torch.tensor([[4.0, 5, 60, 40], [torch.nan] * 4, [10, 10, 30, 60]]),
)


def batch(*prompts, size=SIZE):
    pairs = [
        toy_sample('interactive_image', size=(size, size), seed=i) for i in range(len(prompts))
    ]
    for i, ((_, sample), rows) in enumerate(zip(pairs, prompts, strict=True)):
        sample.prompts = rows
        sample.prompt_targets = torch.arange(len(rows)) % len(sample.gt_segments)
        sample.set_metainfo(dict(image_key=f'k{i}'))
    return dict(inputs=[clip for clip, _ in pairs], data_samples=[s for _, s in pairs])


def losses_of(model, *prompts):
    return model(**model.data_preprocessor(batch(*(prompts or (BOXES,))), True), mode='loss')


def named(losses):
    return {name for name in losses if name.startswith('loss')}


@pytest.mark.parametrize('part', [MASKS, FEATURES, ATTENTION])
@pytest.mark.parametrize('strategy', [ALL, DECODER], ids=['all', 'decoder'])
def test_parts_of_the_decoder_change_the_gradient(part, strategy):
    model = build(student={**STUDENT, 'strategy': strategy}, parts=[part])
    check_gradients(model, ['mask_decoder.mask_tokens', 'layers.0.cross_attn_token_to_image.q'])
    reached = [p.grad is not None for p in model.student.image_encoder.parameters()]
    assert all(reached) if strategy is ALL else not any(reached)


@pytest.mark.parametrize('part', [EMBEDDINGS, BLOCKS, ACTIVITY])
def test_parts_of_the_encoder_change_the_gradient(part):
    model = build(student={**STUDENT, 'strategy': ALL}, parts=[part])
    check_gradients(model, ['image_encoder.patch_embed', 'image_encoder.blocks.1.mlp'])


def check_gradients(model, places):
    losses = {name: value for name, value in losses_of(model).items() if 'loss' in name}
    assert all(float(value.detach()) > 0 for value in losses.values())
    sum(losses.values()).backward()
    for place in places:
        moved = [p.grad for name, p in model.student.named_parameters() if place in name]
        assert moved
        assert any(grad is not None and bool(grad.any()) for grad in moved), place
    assert all(p.grad is None for p in model.teacher.parameters())


@pytest.mark.parametrize('part', [EMBEDDINGS, BLOCKS, ACTIVITY])
def test_parts_of_a_frozen_encoder_are_refused(part):
    with pytest.raises(UserError, match='trains nothing there, so nothing could be learned'):
        build(parts=[part])


def test_blocks_before_the_first_adapter_are_refused():
    late = dict(type='TrainAdapters', hidden=4, first_block=1)
    build(student={**STUDENT, 'strategy': late}, parts=[BLOCKS])
    with pytest.raises(UserError, match=r'up to image_encoder\.blocks\.0'):
        build(student={**STUDENT, 'strategy': late}, parts=[{**BLOCKS, 'blocks': [(0, 0)]}])


@pytest.mark.parametrize('part', [MASKS, FEATURES, ATTENTION])
def test_a_student_that_trains_nothing_is_refused(part):
    model = build(parts=[MASKS])
    model.student.requires_grad_(False)
    with pytest.raises(UserError, match='trains nothing there'):
        MODELS.build(part).prepare(model.student, model.teacher)


@pytest.mark.parametrize(
    ('student', 'teacher'),
    [
        (STUDENT, SAM),
        ({**SAM, 'strategy': ALL}, TEACHER),
        (SAM, {**TEACHER, 'variant': {**TOY_EFFICIENT_SAM, 'prompt_dim': 64, 'decoder_heads': 4}}),
        (STUDENT, {**TEACHER, 'image_size': 96}),
    ],
    ids=['sam_teaches', 'sam_learns', 'other_channels_and_heads', 'other_canvas'],
)
def test_any_model_teaches_any_other(student, teacher):
    settings = dict(parts=[MASKS, FEATURES, ATTENTION], schedule=LABELS, resize_for_teacher=True)
    model = build(student=student, teacher=teacher, **settings)
    losses = losses_of(model, MIXED, BOXES)
    names = {'loss_mask', 'loss_keys', 'loss_tokens', 'loss_attention', 'loss_seg', 'loss_iou'}
    assert named(losses) == names
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss)
    projections = [p for part in model.parts for p in part.parameters()]
    assert all(p.grad is not None for p in projections)


def test_nothing_to_learn_is_refused():
    with pytest.raises(UserError, match=r'Distiller\.parts: expected something to learn'):
        build(parts=[])


def test_a_teacher_of_another_canvas_is_refused_unless_resizing_is_asked_for():
    with pytest.raises(UserError, match=r'canvas of the student, 64, got 96; .*resize_for_teacher'):
        build(teacher={**TEACHER, 'image_size': 96}, parts=[MASKS])


def test_what_is_traced_stays_with_its_prompt():
    """SAM decodes rows of one kind together, in another order than that of the prompts."""
    model = MODELS.build(SAM).eval()
    randomize(model)
    embeddings = model.encode_images(torch.randn(2, 3, SIZE, SIZE))
    order = model.decoding_order([BOXES, MIXED])
    assert order.tolist() != sorted(order.tolist())
    found = decode_traced(model, embeddings, {}, [BOXES, MIXED], True)
    rows = [(0, BOXES[[0]]), (0, BOXES[[1]]), *((1, MIXED[[i]]) for i in range(3))]
    for place, (image, row) in enumerate(rows):
        alone = decode_traced(model, embeddings[[image]], {}, [row], True)
        assert torch.allclose(found.tokens[place], alone.tokens[0], atol=1e-5)
        assert torch.allclose(found.masks.mask_logits[place], alone.masks.mask_logits[0], atol=1e-5)
        for maps, own in zip(
            found.keys + found.attention, alone.keys + alone.attention, strict=True
        ):
            assert torch.allclose(maps[place], own[0], atol=1e-5)
    assert torch.allclose(found.attention[0].sum(dim=-1), torch.ones(5, 2, 5))
    assert not any(module._forward_hooks for module in model.modules())


def test_labels_count_as_the_schedule_says():
    assert named(losses_of(build(parts=[MASKS]))) == {'loss_mask'}
    halves = losses_of(build(parts=[MASKS], schedule=LABELS))
    whole = losses_of(build(parts=[MASKS], schedule=dict(label_weight=1.0, teacher_weight=1.0)))
    alone = build(parts=[MASKS]).student.train()
    own = alone(**alone.data_preprocessor(batch(BOXES), True), mode='loss')
    assert torch.allclose(whole['loss_seg'], own['loss_seg'], atol=1e-6)
    for name in ('loss_seg', 'loss_iou', 'loss_mask'):
        assert torch.allclose(2 * halves[name], whole[name])
    assert {name: float(halves[name]) for name in ('temperature', *LABELS)} == {
        'temperature': 4.0, **LABELS
    }  # fmt: skip


def test_a_schedule_moves_with_the_progress():
    model = build(parts=[MASKS], schedule=dict(mode='increase'))
    early = losses_of(model)
    model.begin_step(1.0)
    late = losses_of(model)
    assert [float(x['temperature']) for x in (early, late)] == [4.0, 1.0]
    assert torch.allclose(early['loss_seg'] / 0.9, late['loss_seg'] / 0.5)
    model.progress = None
    with pytest.raises(UserError, match=r'add dict\(type=SteeringHook\) to custom_hooks'):
        losses_of(model)


def test_a_batch_without_prompts_trains_nothing_and_breaks_nothing():
    model = build(parts=[MASKS, FEATURES], schedule=LABELS)
    losses = losses_of(model, BOXES[[]])
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert float(loss.detach()) == 0
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)


def test_the_student_comes_nearer_to_the_teacher():
    model = build(
        student={**STUDENT, 'strategy': ALL}, parts=[{**EMBEDDINGS, 'kind': 'both'}, MASKS]
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    values = []
    for _ in range(8):
        loss, _ = model.parse_losses(losses_of(model))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.9 * values[0]


def test_checkpoints_are_those_of_the_student():
    model = build(student={**STUDENT, 'strategy': ALL}, parts=[BLOCKS])
    plain = MODELS.build(STUDENT)
    assert set(model.state_dict()) == set(plain.state_dict())
    plain.load_state_dict(model.state_dict())
    model.load_state_dict(MODELS.build(STUDENT).state_dict(), strict=False)
    assert not {id(p) for p in model.parameters()} & {id(p) for p in model.teacher.parameters()}
    assert set(model.steering_state()) == {'0.projections.0.weight', '0.projections.0.bias'}
    other = build(student={**STUDENT, 'strategy': ALL}, parts=[BLOCKS])
    torch.nn.init.zeros_(other.parts[0].projections[0].weight)
    other.load_steering_state(model.steering_state())
    assert bool(other.parts[0].projections[0].weight.any())


def test_cached_embeddings_of_the_teacher_give_the_same_loss(tmp_path):
    cache = dict(type='EmbeddingCache', folder=tmp_path)
    parts = [MASKS, FEATURES]
    plain = losses_of(build(parts=parts))
    model = build(parts=parts, cache=cache)
    for _ in range(2):
        found = losses_of(model)
        assert torch.allclose(found['loss_keys'], plain['loss_keys'], atol=1e-3)
    assert len(list(tmp_path.rglob('*.bin'))) == 1
    with pytest.raises(UserError, match='some that look into its image encoder'):
        build(student={**STUDENT, 'strategy': ALL}, parts=[ACTIVITY], cache=cache)


def test_predictions_are_those_of_the_student():
    model = build(parts=[MASKS]).eval()
    with torch.no_grad():
        (found,) = model.test_step(batch(BOXES))
        (alone,) = model.student.test_step(batch(BOXES))
    assert torch.equal(found.pred_prompted.masks, alone.pred_prompted.masks)


def test_prompts_that_the_teacher_does_not_know_are_named():
    negative = Prompts.create(
        points=torch.tensor([[[20.0, 30.0], [9.0, 9.0]]]), point_labels=torch.tensor([[1, 0]])
    )
    model = build(student=SAM, parts=[MASKS])
    with pytest.raises(UserError, match=r'one that understands negative clicks.*EfficientSam'):
        losses_of(model, negative)


def test_wrong_pairs_are_named():
    train = {**STUDENT, 'strategy': ALL}
    other = {**TEACHER, 'variant': {**TOY_EFFICIENT_SAM, 'prompt_dim': 64}}
    with pytest.raises(UserError, match='as many channels, got 32 of the student and 64'):
        build(student=train, teacher=other)
    with pytest.raises(UserError, match=r"unknown EmbeddingDistillation\.kind 'kl'"):
        build(student=train, parts=[{**EMBEDDINGS, 'kind': 'kl'}])
    with pytest.raises(UserError, match=r'blocks of the teacher from 0 to 2, got \[7\]'):
        build(student=train, parts=[{**BLOCKS, 'blocks': [(1, 7)]}])
    with pytest.raises(UserError, match='expected each kind once'):
        build(parts=[MASKS, MASKS])
    grey = dict(type='ClipPreprocessor', mean=(0, 0, 0), pad_divisor=SIZE)
    with pytest.raises(UserError, match='the mean of images that the student has'):
        build(teacher={**TEACHER, 'data_preprocessor': grey}, parts=[MASKS])
    with pytest.raises(UserError, match=r'Distiller\.teacher\.init_cfg: expected'):
        build(parts=[MASKS]).init_weights()
    nothing = dict(type='EfficientSamSegmentor', variant=TOY_EFFICIENT_SAM)
    with pytest.raises(UserError, match='expected a PromptableSegmentor'):
        build(teacher=dict(type='Distiller', student=nothing, teacher=TEACHER, parts=[MASKS]))
