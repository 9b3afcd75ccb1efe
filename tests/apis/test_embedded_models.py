"""The weights in the package fit their models and know what the documents say they know."""

import pytest
import torch
from safetensors import safe_open

from seg.apis import list_models, load_model, model_entry
from seg.apis.model_zoo import DEFAULT_MODEL
from seg.apis.report import REPORT_TASKS, evaluate_task
from seg.apis.shapes_samples import ShapesSamples
from seg.structures import Task

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
