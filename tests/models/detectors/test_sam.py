from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from ext.sam import sam_variant
from seg.evaluation.protocols import ClickProtocol
from seg.registry import MODELS
from seg.structures import Prompts
from seg.structures.prompted_masks import candidates_for, is_ambiguous, rank_candidates
from seg.testing.reference_sam import TOY_SAM, randomize, reference_sam
from seg.testing.tiny_rapsam import toy_sample
from seg.utils.checkpoints import load_weights, read_weights
from seg.utils.checks import UserError

SIZE = TOY_SAM['native_size']
MASK_LOSS = [dict(type='MaskDiceLoss'), dict(type='MaskBCELoss')]


def build(**settings):
    model = MODELS.build(dict(type='SamSegmentor', variant=TOY_SAM, **settings))
    randomize(model)
    return model.eval()


def batch(*sizes, task='interactive_image', prompts=None):
    pairs = [toy_sample(task, size=size, seed=i) for i, size in enumerate(sizes)]
    if prompts is not None:
        for (_, sample), rows in zip(pairs, prompts, strict=True):
            sample.prompts = rows
            sample.prompt_targets = torch.arange(len(rows)) % len(sample.gt_segments)
    return dict(inputs=[clip for clip, _ in pairs], data_samples=[s for _, s in pairs])


def boxes(*rows):
    return Prompts.create(boxes=torch.tensor(rows, dtype=torch.float32))


MIXED = Prompts.create(
    points=torch.tensor([[[20.0, 30.0], [9.0, 9.0]], [[5.0, 50.0], [0, 0]], [[0, 0], [0, 0]]]),
    point_labels=torch.tensor([[1, 0], [1, -1], [-1, -1]]),
    boxes=torch.tensor([[4.0, 5, 60, 70], [torch.nan] * 4, [10, 10, 90, 60]]),
)


def host_output(host, embedding, points=None, labels=None, box=None, mask=None):
    sparse, dense = host.prompt_encoder(
        points=None if points is None else (points, labels), boxes=box, masks=mask
    )
    masks, iou = host.mask_decoder.predict_masks(
        embedding, host.prompt_encoder.get_dense_pe(), sparse, dense
    )
    return masks, iou


def test_mixed_prompts_of_several_images_equal_the_package():
    """Rows of different kinds and images, decoded together, against one call per row."""
    model = build()
    host = reference_sam(sam_variant(TOY_SAM))
    host.load_state_dict(model.state_dict())
    clicks = Prompts.create(points=torch.tensor([[[33.0, 44.0]]]))
    images = torch.randn(2, 3, SIZE, SIZE)
    embeddings = model.encode_images(images)
    first, second = model.decode_prompts(embeddings, [MIXED, clicks])

    expected = [
        host_output(
            host, embeddings[:1], MIXED.point_coords[:1], MIXED.point_labels[:1], MIXED.boxes[:1]
        ),
        host_output(host, embeddings[:1], MIXED.point_coords[1:2, :1], torch.ones(1, 1)),
        host_output(host, embeddings[:1], box=MIXED.boxes[2:]),
        host_output(host, embeddings[1:], clicks.point_coords, clicks.point_labels),
    ]
    ours = [first.mask_logits[i] for i in range(3)] + [second.mask_logits[0]]
    scores = [first.iou_scores[i] for i in range(3)] + [second.iou_scores[0]]
    for mask, score, (host_mask, host_score) in zip(ours, scores, expected, strict=True):
        assert torch.allclose(mask, host_mask[0], atol=1e-5)
        assert torch.allclose(score, host_score[0], atol=1e-5)


def test_mask_prompts_reach_the_decoder_as_logits():
    model = build()
    host = reference_sam(sam_variant(TOY_SAM))
    host.load_state_dict(model.state_dict())
    probs = torch.rand(1, SIZE, SIZE)
    embedding = model.encode_images(torch.randn(1, 3, SIZE, SIZE))
    (output,) = model.decode_prompts(embedding, [Prompts.create(masks=probs)])
    low = torch.logit(torch.nn.functional.avg_pool2d(probs[None], 4), eps=1e-3)
    expected, _ = host_output(host, embedding, mask=low)

    assert torch.allclose(output.mask_logits, expected, atol=1e-5)


def test_the_last_answer_is_the_mask_input_of_the_next_click():
    model = build()
    host = reference_sam(sam_variant(TOY_SAM))
    host.load_state_dict(model.state_dict())
    embedding = model.encode_images(torch.randn(1, 3, SIZE, SIZE))
    answer = torch.randn(1, 1, SIZE // 4, SIZE // 4)
    click = replace(Prompts.create(points=torch.full((1, 1, 2), 40.0)), previous_logits=answer)
    (output,) = model.decode_prompts(embedding, [click])
    expected, _ = host_output(host, embedding, click.point_coords, click.point_labels, mask=answer)

    assert torch.allclose(output.mask_logits, expected, atol=1e-5)


def test_predictions_equal_sam_predictor():
    """The whole way: padding, normalisation, decoding, resizing, threshold."""
    model = build(ranking='multi')
    host = reference_sam(sam_variant(TOY_SAM))
    host.load_state_dict(model.state_dict())
    clip, sample = toy_sample('interactive_image', size=(96, SIZE))
    sample.prompts = Prompts.create(points=torch.tensor([[[40.0, 31.0]]]))
    sample.prompt_targets = torch.tensor([0])
    with torch.no_grad():
        (found,) = model.test_step(dict(inputs=[clip], data_samples=[sample]))
    predictor = SamPredictor(host)
    predictor.set_torch_image(clip, (96, SIZE))
    masks, iou, _ = predictor.predict(np.array([[40.0, 31.0]]), np.array([1]))

    order = np.argsort(-iou, kind='stable')
    prediction = found.pred_prompted
    assert prediction.masks.shape == (1, 3, 1, 96, SIZE)
    assert (prediction.masks[0, :, 0].numpy() != masks[order]).sum() <= 2
    clamped = torch.from_numpy(iou[order]).clamp(0, 1)
    assert torch.allclose(prediction.iou_scores[0], clamped, atol=1e-5)


def test_a_single_click_gets_the_best_of_three_and_a_box_the_clear_one():
    model = build()
    embedding = model.encode_images(torch.randn(1, 3, SIZE, SIZE))
    (output,) = model.decode_prompts(embedding, [MIXED])
    ranked = rank_candidates(output, MIXED, 'auto')

    assert is_ambiguous(MIXED).tolist() == [False, True, False]
    best = 1 + int(output.iou_scores[1, 1:].argmax())
    assert torch.equal(ranked.mask_logits[1, 0], output.mask_logits[1, best])
    assert torch.equal(ranked.mask_logits[2, 0], output.mask_logits[2, 0])
    assert candidates_for([MIXED], 'auto') == 'all'
    assert candidates_for([MIXED[[2]]], 'auto') == 'single'


def test_a_batch_equals_its_images_one_by_one():
    model = build(strategy=dict(type='TrainAll'))
    data = batch((96, 128), (128, 100))
    together = model(**model.data_preprocessor(data), mode='tensor')
    for i in range(2):
        alone = {key: [value[i]] for key, value in batch((96, 128), (128, 100)).items()}
        (single,) = model(**model.data_preprocessor(alone), mode='tensor')
        assert torch.allclose(together[i].mask_logits, single.mask_logits, atol=1e-5)


def test_evaluation_decodes_in_parts_with_the_same_masks():
    data = batch((128, 128))
    whole, parts = build(), build(max_prompts=2)
    parts.load_state_dict(whole.state_dict())
    (a,) = whole(**whole.data_preprocessor(data), mode='tensor')
    (b,) = parts(**parts.data_preprocessor(batch((128, 128))), mode='tensor')

    assert torch.allclose(a.mask_logits, b.mask_logits, atol=1e-6)


def test_training_touches_what_the_strategy_says():
    model = build().train()
    data = model.data_preprocessor(batch((96, 128), (128, 128)), training=True)
    losses = model(**data, mode='loss')
    model.parse_losses(losses)[0].backward()

    assert set(losses) == {'loss_seg', 'loss_iou', 'seg_focal', 'seg_dice'}
    assert all(value.grad is None for value in model.image_encoder.parameters())
    used = {n for n, p in model.mask_decoder.named_parameters() if p.grad is not None}
    assert 'iou_prediction_head.layers.0.weight' in used
    assert 'output_hypernetworks_mlps.1.layers.0.weight' in used


def test_boxes_leave_the_masks_for_ambiguous_prompts_alone():
    """A gradient of zero would still let weight decay move them."""
    model = build().train()
    data = batch((128, 128), prompts=[boxes([4, 5, 60, 70], [3, 3, 90, 90])])
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    model.parse_losses(losses)[0].backward()
    mlps = model.mask_decoder.output_hypernetworks_mlps

    assert mlps[0].layers[0].weight.grad.abs().sum() > 0
    assert mlps[1].layers[0].weight.grad is None


def test_a_batch_without_prompts_has_a_loss_of_zero_on_every_parameter():
    model = build().train()
    data = batch((128, 128), prompts=[MIXED[[]]])
    loss, _ = model.parse_losses(model(**model.data_preprocessor(data, training=True), mode='loss'))
    loss.backward()

    assert loss == 0
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_predictions_without_prompts_are_empty():
    model = build()
    with torch.no_grad():
        (sample,) = model.test_step(batch((100, 128), prompts=[MIXED[[]]]))

    assert sample.pred_prompted.masks.shape == (0, 1, 1, 100, 128)


def test_the_prompt_encoder_stays_in_single_precision():
    model = build()
    data = model.data_preprocessor(batch((128, 128)))
    plain = model(**data, mode='tensor')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        sparse_type = []
        hook = model.prompt_encoder.register_forward_hook(
            lambda module, inputs, output: sparse_type.append(output[0].dtype)
        )
        mixed = model(**data, mode='tensor')
        losses = model.criterion(mixed, data['data_samples'], 'all')
    hook.remove()

    assert sparse_type == [torch.float32]
    assert losses['loss_seg'].dtype == torch.float32
    error = (mixed[0].mask_logits.float() - plain[0].mask_logits).abs().mean()
    assert error < 0.05 * plain[0].mask_logits.abs().mean()


def test_validation_losses_of_the_canvas_size_equal_training_losses():
    model = build(criterion=dict(mask_losses=MASK_LOSS)).train()
    data = model.data_preprocessor(batch((96, 128)), training=True)
    trained = model(**data, mode='loss')
    model.eval()
    with torch.no_grad():
        (sample,) = model.test_step(batch((96, 128)))

    assert sample.pred_prompted.loss_seg.mean() == pytest.approx(
        trained['loss_seg'].item(), abs=1e-5
    )


@pytest.mark.parametrize('wrapper', ['plain', 'model', 'model_state_dict', 'ddp'])
def test_wrapped_checkpoints_load(tmp_path, wrapper):
    source, target = build(), MODELS.build(dict(type='SamSegmentor', variant=TOY_SAM))
    state = source.state_dict()
    content = {
        'plain': state,
        'model': {'model': state, 'epoch': 3},
        'model_state_dict': {'model_state_dict': state, 'optimizer_state_dict': {}},
        'ddp': {'model': {f'module.{k}': v for k, v in state.items()}},
    }[wrapper]
    torch.save(content, tmp_path / 'sam.pth')
    load_weights(target, read_weights(tmp_path / 'sam.pth'))

    assert all(torch.equal(v, target.state_dict()[k]) for k, v in state.items())


def test_nothing_is_unpickled(tmp_path):
    torch.save({'model': build().state_dict(), 'args': object}, tmp_path / 'sam.pth')
    with pytest.raises(UserError, match='refused, because it holds pickled objects'):
        read_weights(tmp_path / 'sam.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'sam.pth'))
    with pytest.raises(UserError, match='refused, because it holds pickled objects'):
        build(init_cfg=start).init_weights()


def test_other_sizes_are_named():
    model = build()
    with pytest.raises(UserError, match='expected a canvas of 128 x 128 pixels, got 256 x 128'):
        model.test_step(batch((130, 100)))
    with pytest.raises(UserError, match='image_size: expected a multiple of the patch size 16'):
        build(image_size=100)
    for size in (0, -16, '128'):
        with pytest.raises(UserError, match=f'multiple of the patch size 16, got {size!r}'):
            build(image_size=size)
    with pytest.raises(UserError, match=r'model\.max_prompts: expected at least 1, got 0'):
        build(max_prompts=0)


def test_prompts_without_content_and_clips_are_refused():
    model = build()
    empty = Prompts.create(points=torch.zeros(1, 1, 2), point_labels=torch.tensor([[-1]]))
    with pytest.raises(UserError, match='expected a point, a box or a mask for every object'):
        model.test_step(batch((128, 128), prompts=[empty]))
    with pytest.raises(UserError, match='clips of 2 frames'):
        model.extract_feat(torch.zeros(1, 2, 3, SIZE, SIZE))


def test_another_canvas_keeps_the_names_and_shapes():
    small = build(image_size=64)
    state = build().state_dict()
    load_weights(small, state)
    with torch.no_grad():
        (sample,) = small.test_step(batch((64, 48)))
    assert sample.pred_prompted.masks.shape[-2:] == (64, 48)


def test_clicks_are_answered_on_features_that_are_computed_once():
    """What the image predictor and simulated sessions use."""
    model = build()
    data = model.data_preprocessor(batch((96, 128)))
    features = model.extract_feat(data['inputs'])
    (first,) = model.predict_prompts(features, data['data_samples'], multimask_output=True)
    answer = first.pred_prompted.low_res_logits
    assert answer.shape == (3, 3, 1, 32, 32)
    first.prompts = replace(first.prompts, previous_logits=answer[:, 0])
    (second,) = model.predict_prompts(features, [first])

    assert second.pred_prompted.masks.shape == (3, 1, 1, 96, 128)
    assert not torch.equal(second.pred_prompted.low_res_logits[:, 0], answer[:, 0])


def test_simulated_people_correct_its_masks():
    data = batch((96, 128))
    data['data_samples'][0].set_metainfo(dict(prompt_kinds=('click', 'click', 'box')))
    (sample,) = ClickProtocol(max_clicks=3, min_clicks=3).run(build(), data)
    assert sample.pred_prompted.click_ious.shape == (3, 3)
