import numpy as np
import pytest
import torch

from seg.apis import ImagePredictor, VideoPredictor, make_fast
from seg.apis import fast as module
from seg.testing.tiny_rapsam import model_for_programs, tiny_video_cfg
from seg.utils.checks import UserError

SIZE = (50, 70)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = model_for_programs(tiny_video_cfg())
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
    return model


def follow(model):
    session = VideoPredictor(model).start(*SIZE)
    session.add_prompts(1, points=[[20, 20]])
    frame = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    return session.step(frame)


def test_a_folded_model_answers_the_same(model):
    before = follow(model)
    assert make_fast(model, *SIZE) is model
    after = follow(model)

    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in model.backbone.modules())
    assert (before.masks != after.masks).mean() < 0.01
    np.testing.assert_allclose(before.scores, after.scores, atol=1e-3)


@pytest.mark.parametrize(
    ('way', 'name'), [('compile', 'compile_parts'), ('graph', 'graph_features')]
)
def test_it_is_made_for_frames_as_the_pipeline_gives_them(model, monkeypatch, way, name):
    seen = []
    monkeypatch.setattr(module, name, lambda model, example: seen.append(example.shape))
    encoded = []
    model.data_preprocessor.register_forward_hook(
        lambda _, inputs, output: encoded.append(output['inputs'].shape)
    )
    monkeypatch.setattr(module, 'check_recordable', lambda model, device: None)
    make_fast(model, *SIZE, way)
    predictor = ImagePredictor(model)
    predictor.set_image(np.zeros((*SIZE, 3), dtype=np.uint8))

    assert len(seen) == 1
    assert seen[0] == encoded[-1]
    assert all(side % 32 == 0 for side in seen[0][-2:])


@pytest.mark.parametrize(
    ('size', 'way', 'said'),
    [
        ((0, 5), 'fold', 'height and width as whole numbers >= 1, got 0 and 5'),
        (('tall', 5.0), 'fold', "whole numbers >= 1, got 'tall' and 5.0"),
        (SIZE, 'graphs', "unknown way 'graphs': .* Did you mean 'graph'"),
        (SIZE, None, "unknown way 'None': expected one of compile, fold, graph"),
        (SIZE, 'graph', 'expected a model and frames on a GPU, got cpu'),
    ],
)
def test_what_makes_no_sense_is_refused(model, size, way, said):
    with pytest.raises(UserError, match=said):
        make_fast(model, *size, way)
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules()), 'as it was'


def test_other_models_are_refused():
    with pytest.raises(UserError, match='expected a RapSAM, got Linear'):
        make_fast(torch.nn.Linear(1, 1), *SIZE)
