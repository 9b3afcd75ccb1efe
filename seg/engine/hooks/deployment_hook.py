"""A model made fast before it is tested."""

from __future__ import annotations

import shutil
from typing import Any, Literal

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from seg.models.deployment import compile_parts, fuse
from seg.registry import HOOKS
from seg.utils.checks import UserError, unknown_name_message
from seg.utils.devices import device_of

_COMPILE = ('never', 'if_possible', 'always')


@HOOKS.register_module()
class DeploymentHook(Hook):
    """Folds normalisations and compiles the network before a test.

    The model is changed in place, so a runner with this hook cannot train. Precision is the test
    loop's: ``test_cfg.fp16=True``, which is bfloat16 on a CPU.

    Args:
        fold: Whether batch normalisations are folded into convolutions.
        compile: ``'never'``; ``'if_possible'``: where a C++ compiler (CPU) or a GPU is at hand and
            compiling succeeds; ``'always'``.
        size: Height and width of the padded pictures, for which it is compiled; others are
            computed the usual way.

    Raises:
        UserError: If ``compile`` is unknown, or a training begins.
    """

    def __init__(
        self,
        fold: bool = True,
        compile: Literal['never', 'if_possible', 'always'] = 'never',
        size: tuple[int, int] = (800, 1344),
    ) -> None:
        if compile not in _COMPILE:
            raise UserError(unknown_name_message('DeploymentHook.compile', compile, _COMPILE))
        self.fold = fold
        self.compile = compile
        self.size = size
        self.compiled = False

    def before_train(self, runner: Runner) -> None:
        """Refuse to train."""
        raise UserError(
            'DeploymentHook: expected a test, got a training, which a folded model cannot do; '
            'leave the hook out of custom_hooks'
        )

    def before_test(self, runner: Runner) -> None:
        """Make the model fast."""
        model: Any = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if self.fold:
            fuse(model)
        device = device_of(model)
        has_compiler = device.type == 'cuda' or shutil.which('g++') is not None
        if self.compile == 'always' or (self.compile == 'if_possible' and has_compiler):
            example = torch.zeros(1, 1, 3, *self.size, device=device)
            loop: Any = runner.test_loop
            with torch.autocast(device.type, enabled=bool(getattr(loop, 'fp16', False))):
                self.compiled = compile_parts(
                    model, example, allow_fallback=self.compile != 'always'
                )
        runner.logger.info(f'model: folded {self.fold}, compiled {self.compiled}')
