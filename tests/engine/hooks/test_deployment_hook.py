import types

import pytest
import torch

from seg.engine.hooks import DeploymentHook
from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_rapsam_cfg
from seg.utils.checks import UserError


class Logger:
    def __init__(self):
        self.lines = []

    def info(self, line):
        self.lines.append(line)


def runner_of(model):
    return types.SimpleNamespace(model=model, logger=Logger(), test_loop=types.SimpleNamespace())


def test_a_model_is_folded_before_a_test_and_computes_the_same():
    torch.manual_seed(0)
    model = MODELS.build(tiny_rapsam_cfg(faithful=False)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    clip = torch.rand(1, 1, 3, 64, 64)
    before = model.extract_feat(clip).mask_features
    runner = runner_of(model)
    DeploymentHook().before_test(runner)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.backbone.modules())
    torch.testing.assert_close(model.extract_feat(clip).mask_features, before, atol=1e-4, rtol=1e-4)
    assert runner.logger.lines == ['model: folded True, compiled False']


def test_it_compiles_where_it_was_asked_to(monkeypatch):
    seen = []

    def compile_parts(model, inputs, *, allow_fallback):
        seen.append((tuple(inputs.shape), allow_fallback))
        return True

    monkeypatch.setattr('seg.engine.hooks.deployment_hook.compile_parts', compile_parts)
    monkeypatch.setattr('seg.engine.hooks.deployment_hook.shutil.which', lambda name: None)
    model = MODELS.build(tiny_rapsam_cfg(faithful=False))
    for compile in ('never', 'if_possible', 'always'):
        hook = DeploymentHook(fold=False, compile=compile, size=(64, 96))
        hook.before_test(runner_of(model))
        assert hook.compiled is (compile == 'always')
    assert seen == [((1, 1, 3, 64, 96), False)]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UserError, match=r"unknown DeploymentHook\.compile 'alway'"):
        DeploymentHook(compile='alway')
    with pytest.raises(UserError, match='expected a test, got a training'):
        DeploymentHook().before_train(None)
