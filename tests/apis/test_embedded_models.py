"""The weights in the package fit their models and know what the documents say they know."""

import pytest
import torch
from safetensors import safe_open

from seg.apis import ImagePredictor, VideoPredictor, list_models, load_model, model_entry
from seg.apis.model_zoo import DEFAULT_MODEL
from seg.apis.report import REPORT_TASKS, evaluate_task
from seg.apis.shapes_clips import ShapesClips
from seg.apis.shapes_samples import ShapesSamples
from seg.structures import Task
from seg.utils.devices import as_if_ahead

NUM_SAMPLES = 12


@pytest.fixture(scope='module')
def model():
    return load_model(DEFAULT_MODEL, device='cpu')


@pytest.mark.parametrize('name', list_models())
def test_weights_are_stored_in_half_precision(name):
    with safe_open(model_entry(name).weights_path, 'pt') as file:
        types = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
    assert 'F16' in types
    assert not {'F32', 'F64'} & types


@pytest.mark.parametrize(('task', 'least'), [(Task.PANOPTIC, 50), (Task.INTERACTIVE_IMAGE, 65)])
def test_the_default_model_knows_shapes_it_has_never_seen(model, task, least):
    """Below what 200 samples score, since a dozen scatters, and clearly above the baseline."""
    samples = ShapesSamples(task, model.cfg, NUM_SAMPLES, seed=1)
    *_, result = evaluate_task(model, REPORT_TASKS[task], samples)
    score, baseline = (next(iter(part.values())) for part in (result.model, result.baseline))

    assert score > least
    assert score > baseline + 8
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_objects_are_answered_alone_and_in_any_order(model):
    (packed,) = ShapesSamples(Task.INTERACTIVE_IMAGE, model.cfg, 1, seed=1)
    points = packed.sample.prompts.point_coords[:6].numpy()
    predictor = ImagePredictor(model)
    predictor.set_image(packed.image)
    together = predictor.predict(points=points).masks
    turned = predictor.predict(points=points[::-1].copy()).masks[::-1]
    alone = predictor.predict(points=points[:1]).masks

    assert together.any(axis=(1, 2, 3)).all()
    assert (together != turned).mean() < 1e-4, 'single pixels on an outline may differ by rounding'
    assert (together[:1] != alone).mean() < 1e-4


@pytest.mark.parametrize(
    ('task', 'kind'), [(Task.VOS, 'mask'), (Task.INTERACTIVE_VIDEO, 'click')], ids=str
)
def test_a_device_that_runs_ahead_finds_the_same_objects(model, task, kind):
    predictor = VideoPredictor(model)
    (clip,) = ShapesClips(task, model.cfg, 1, num_frames=20, seed=2, kinds=(kind,))
    prompts = clip.sample.prompts
    expected = list(predictor.propagate(clip.frames, prompts=prompts, task=task))
    with as_if_ahead():
        found = list(predictor.propagate(clip.frames, prompts=prompts, task=task))

    for ours, other in zip(found, expected, strict=True):
        assert other.masks.any()
        assert ours.visible.tolist() == other.visible.tolist()
        assert (ours.masks != other.masks).mean() < 1e-4, 'single pixels may differ by rounding'
