"""MMDetection's Mask2Former reads our samples, learns from them, and is scored as ours are."""

import pytest
import torch

from seg.engine.config_options import load_config
from seg.evaluation.metrics import PanopticMetric
from seg.registry import MODELS
from seg.testing.tiny_rapsam import toy_sample
from seg.utils.checks import UserError

CONFIG = 'configs/peers/mask2former_nano_shapes.py'
META = dict(classes=tuple('abcdefghijk'), num_things=8)


@pytest.fixture(scope='module')
def model(repository):
    torch.manual_seed(0)
    built = MODELS.build(load_config(repository / CONFIG).model)
    built.init_weights()
    return built


def batch(num_frames=1):
    clip, sample = toy_sample('panoptic', num_frames=num_frames)
    return dict(inputs=[clip], data_samples=[sample])


def test_it_has_the_backbone_of_the_model_beside_it(repository, model):
    ours = MODELS.build(load_config(repository / 'configs/peers/rap_sam_nano_shapes.py').model)
    shapes = [{k: v.shape for k, v in m.state_dict().items()}
              for m in (ours.backbone, model.detector.backbone)]  # fmt: skip
    assert shapes[0] == shapes[1]
    assert model.detector.panoptic_head.num_queries == ours.head.object_queries.num_embeddings


def test_a_step_reaches_every_part(model):
    model.train()
    losses = model(**model.data_preprocessor(batch(), True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    head = model.detector.panoptic_head
    for part in (model.detector.backbone, head.pixel_decoder, head.transformer_decoder):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    model.zero_grad()


def test_maps_become_segments(model):
    values = torch.tensor([[[11, 9, 9], [2, 1002, 2002]]], dtype=torch.int32)
    data = model._as_panoptic(values)
    found = {s.id: (s.label, s.is_thing) for s in data.segments}
    pixels = [found.get(i) for i in data.segment_map.flatten().tolist()]
    assert pixels == [None, (9, False), (9, False), (2, True), (2, True), (2, True)]
    assert len(set(data.segment_map[0, 1].tolist())) == 3


def test_it_is_scored_by_the_same_metric(model):
    model.eval()
    (sample,) = model.test_step(batch())
    assert sample.pred_panoptic.segment_map.shape == (1, 64, 64)
    metric = PanopticMetric()
    metric.dataset_meta = META
    metric.process(None, [sample.to_dict()])
    assert 0 <= metric.evaluate(1)['panoptic/PQ'] <= 100
    with pytest.raises(UserError, match='got clips of 2 frames'):
        model.test_step(batch(num_frames=2))
