import importlib.util

import numpy as np
import pytest
import torch

from ext.efficient_sam import EfficientSam, efficient_sam_variant
from seg.apis import ImagePredictor
from seg.models.detectors.efficient_sam import as_points
from seg.registry import MODELS
from seg.structures import Prompts
from seg.testing.reference_sam import randomize
from seg.testing.tiny_rapsam import toy_sample
from seg.testing.toy_efficient_sam import TOY_EFFICIENT_SAM
from seg.utils.checks import UserError

SIZE = TOY_EFFICIENT_SAM['native_size']
NAN = [float('nan')] * 4
MIXED = Prompts.create(
    points=torch.tensor([[[20.0, 30.0], [9.0, 9.0]], [[5.0, 50.0], [0, 0]], [[0, 0], [0, 0]]]),
    point_labels=torch.tensor([[1, 1], [1, -1], [-1, -1]]),
    boxes=torch.tensor([[4.0, 5, 60, 40], NAN, [10, 10, 30, 60]]),
)


def build(**settings):
    settings = {'strategy': dict(type='TrainAll'), **settings}
    model = MODELS.build(dict(type='EfficientSamSegmentor', variant=TOY_EFFICIENT_SAM, **settings))
    randomize(model)
    return model.eval()


def batch(*prompts, size=(SIZE, SIZE)):
    pairs = [toy_sample('interactive_image', size=size, seed=i) for i in range(len(prompts))]
    for (_, sample), rows in zip(pairs, prompts, strict=True):
        sample.prompts = rows
        sample.prompt_targets = torch.arange(len(rows)) % len(sample.gt_segments)
    return dict(inputs=[clip for clip, _ in pairs], data_samples=[s for _, s in pairs])


def boxes(*rows):
    return Prompts.create(boxes=torch.tensor(rows, dtype=torch.float32))


def test_numbers_equal_the_published_arithmetic():
    """Normalisation, boxes and clicks, the order of masks, against the program's own interface."""
    model = build()
    reference = EfficientSam(efficient_sam_variant(TOY_EFFICIENT_SAM)).eval()
    reference.load_state_dict(model.state_dict())
    clip, sample = toy_sample('interactive_image', size=(SIZE, SIZE))
    with torch.no_grad():
        data = model.data_preprocessor(dict(inputs=[clip], data_samples=[sample]), False)
        embedding = model.extract_feat(data['inputs'])
        (found,) = model.decode_prompts(embedding, [MIXED])
        expected = reference.embed(clip.float() / 255)
        points = torch.tensor(
            [[[20.0, 30], [9, 9], [4, 5], [60, 40]], [[5, 50], [-1, -1], [-1, -1], [-1, -1]]]
        )
        labels = torch.tensor([[1, 1, 2, 3], [1, -1, -1, -1]])
        masks, scores = reference.decode(expected, points[None], labels[None], (SIZE, SIZE))
    assert torch.allclose(embedding, expected, atol=1e-4)
    assert torch.allclose(found.mask_logits[:2, 1:], masks[0], atol=1e-4)
    assert torch.allclose(found.iou_scores[:2, 1:], scores[0], atol=1e-4)


def test_a_box_is_two_corners_and_shorter_rows_are_filled_up():
    points, labels = as_points([MIXED, boxes([1, 2, 3, 4])], 6)
    assert labels.tolist() == [[1, 1, 2, 3], [1, -1, -1, -1], [2, 3, -1, -1], [2, 3, -1, -1]]
    assert points[0].tolist() == [[20, 30], [9, 9], [4, 5], [60, 40]]
    assert points[2, :2].tolist() == [[10, 10], [30, 60]]
    assert (points[labels == -1] == -1).all()


def test_a_batch_with_different_numbers_of_prompts_equals_its_images():
    model = build()
    embeddings = model.encode_images(torch.randn(3, 3, SIZE, SIZE))
    empty = MIXED[[]]
    together = model.decode_prompts(embeddings, [MIXED, empty, boxes([1, 2, 40, 50])], 'multi')
    assert [len(found.mask_logits) for found in together] == [3, 0, 1]
    assert together[0].mask_logits.shape == (3, 3, SIZE // 4, SIZE // 4)
    (alone,) = model.decode_prompts(embeddings[:1], [MIXED], 'multi')
    assert torch.allclose(together[0].mask_logits, alone.mask_logits, atol=1e-5)
    (nothing,) = model.decode_prompts(embeddings[:1], [empty], 'single')
    assert nothing.iou_scores.shape == (0, 1)
    model.max_prompts = 2
    (parts,) = model.decode_prompts(embeddings[:1], [MIXED], 'multi')
    assert torch.allclose(parts.iou_scores, alone.iou_scores, atol=1e-5)


def test_every_trained_parameter_gets_a_gradient():
    model = build(ranking='auto').train()
    clicks = Prompts.create(points=torch.tensor([[[20.0, 30.0]]]))
    data = model.data_preprocessor(batch(MIXED, clicks), True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    without = [name for name, value in model.named_parameters() if value.grad is None]
    assert not without


def test_the_decoder_alone_is_trained():
    model = build(strategy=dict(type='TrainDecoder', prompt_encoder=False))
    trained = {n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {'mask_decoder'}
    assert model.criterion.ranking == 'multi'


def test_adapters_start_as_the_plain_model():
    plain, adapted = build(), build(strategy=dict(type='TrainAdapters', hidden=4))
    adapted.load_state_dict(plain.state_dict(), strict=False)
    for block in adapted.image_encoder.blocks:
        for adapter in block.adapters.values():
            torch.nn.init.zeros_(adapter.up.weight)
            torch.nn.init.zeros_(adapter.up.bias)
    image = torch.randn(1, 3, SIZE, SIZE)
    assert torch.allclose(plain.encode_images(image), adapted.encode_images(image), atol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec('peft') is None, reason='peft is not installed')
def test_low_rank_updates_of_attention():
    """Rank 8 in qkv and proj of the twelve blocks of Ti."""
    strategy = dict(type='TrainLora', prompt_encoder=False, mask_decoder=False)
    with torch.device('meta'):
        model = MODELS.build(dict(type='EfficientSamSegmentor', strategy=strategy))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 110_592


def test_predictions_have_the_original_size():
    model = build()
    with torch.no_grad():
        (found,) = model.test_step(batch(boxes([2, 2, 30, 40])))
    prediction = found.pred_prompted
    assert prediction.masks.shape == (1, 3, 1, SIZE, SIZE)
    assert bool((prediction.iou_scores.diff(dim=1) <= 0).all())


@pytest.mark.parametrize(
    ('prompts', 'message'),
    [
        (
            Prompts.create(points=torch.rand(1, 5, 2), boxes=torch.tensor([[1.0, 2, 3, 4]])),
            'at most 6 points per object, a box counting as two, got 7',
        ),
        (Prompts.create(points=torch.rand(1, 7, 2)), 'at most 6 points per object.*got 7'),
        (
            Prompts.create(points=torch.rand(1, 1, 2), point_labels=torch.zeros(1, 1).long()),
            'no embedding for negative clicks',
        ),
        (Prompts.create(masks=torch.rand(1, 8, 8)), 'has no input for masks'),
        (
            Prompts.create(points=torch.rand(1, 1, 2), point_labels=-torch.ones(1, 1).long()),
            'got an object without any',
        ),
    ],
)
def test_prompts_it_cannot_use_are_refused(prompts, message):
    with pytest.raises(UserError, match=message):
        as_points([prompts], 6)


def test_a_canvas_that_is_no_multiple_of_the_patch_is_named():
    with pytest.raises(UserError, match='a multiple of the patch size 16, got 72'):
        build(image_size=72)


@pytest.fixture
def predictor():
    model = build()
    steps = [dict(type='TestResize', scale=(SIZE, SIZE), keep_ratio=False), dict(type='PackClip')]
    from mmengine.config import Config

    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=steps))))
    model.entry = None
    predictor = ImagePredictor(model)
    predictor.set_image(np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8))
    return predictor


def test_the_predictor_stretches_images_and_answers(predictor):
    result = predictor.predict(boxes=[[5, 5, 60, 30], [30, 2, 80, 38]])
    assert result.masks.shape == (2, 3, 40, 90)
    assert predictor._encoded.samples[0].img_shape == (SIZE, SIZE)


def test_the_predictor_says_why_it_refuses(predictor):
    with pytest.raises(UserError, match=r'got negative clicks \(EfficientSAM has no embedding'):
        predictor.predict(points=[[[5, 5], [9, 9]]], point_labels=[[1, 0]])
    with pytest.raises(UserError, match=r'mask prompts \(EfficientSAM has no input'):
        predictor.predict(masks=np.ones((1, 40, 90), bool))
    with pytest.raises(ValueError, match='expected x1 < x2 and y1 < y2'):
        predictor.predict(boxes=[[60, 5, 5, 30]])
    with pytest.raises(UserError, match='at most 6 points per object'):
        predictor.predict(points=np.full((1, 7, 2), 5))
