import pytest
import torch

from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM, randomize
from seg.testing.tiny_rapsam import toy_sample
from seg.utils.checks import UserError

SETTINGS = dict(variant=TOY_SAM, strategy=dict(type='TrainDecoder', prompt_encoder=False))


def build(num_classes=5):
    model = MODELS.build(
        dict(type='SamSemanticSegmentor', num_classes=num_classes, settings=SETTINGS)
    )
    randomize(model)
    return model


def batch(void=False):
    clip, sample = toy_sample('panoptic', size=(96, 128))
    if void:
        sample.gt_segments.masks[:] = False
    return dict(inputs=[clip], data_samples=[sample])


def test_every_class_token_learns_and_the_encoder_does_not():
    model = build().train()
    losses = model(**model.data_preprocessor(batch(), True), mode='loss')
    model.parse_losses(losses)[0].backward()

    assert set(losses) == {'loss_ce', 'loss_dice'}
    assert (model.class_tokens.weight.grad.abs().sum(dim=1) > 0).all()
    assert all(p.grad is None for p in model.image_encoder.parameters())


def test_steps_reduce_the_loss():
    torch.manual_seed(0)
    model = build().train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    values = []
    for _ in range(25):
        losses = model(**model.data_preprocessor(batch(), True), mode='loss')
        loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.8 * values[0]


def test_ignored_images_have_no_loss():
    model = build().train()
    losses = model(**model.data_preprocessor(batch(void=True), True), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert loss == 0


def test_every_pixel_gets_a_class_at_the_original_size():
    model = build().eval()
    with torch.no_grad():
        (sample,) = model.test_step(batch())
    found = sample.pred_panoptic

    assert found.segment_map.shape == (1, 96, 128)
    assert int(found.segment_map.min()) >= 1
    assert {s.id for s in found.segments} == set(found.segment_map.unique().tolist())
    assert all(s.label == s.id - 1 for s in found.segments)


def test_labels_beyond_the_classes_are_named():
    model = build(num_classes=2).train()
    with pytest.raises(UserError, match=r'expected classes below model\.num_classes=2, got 2'):
        model(**model.data_preprocessor(batch(), True), mode='loss')
