"""What the command-line tools share: turning a config and flags into a runner."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from seg.engine.class_counts import fill_class_counts
from seg.engine.runner import ExactRunning, MixedPrecisionOptimWrapper, SegRunner
from seg.utils.checks import UserError
from seg.utils.writable import check_writable_folder


def build_runner(
    cfg: Config,
    config_path: str | os.PathLike[str],
    work_dir: str | os.PathLike[str] | None,
    launcher: str = 'none',
) -> ExactRunning:
    """Build the runner of a config.

    Args:
        cfg: The checked config.
        config_path: Its file, whose name names the default work folder ``work_dirs/NAME``.
        work_dir: Folder for everything that the run writes; it goes before the config's.
        launcher: How the processes were started: ``'none'``, ``'pytorch'``, ``'slurm'``, ``'mpi'``.

    Raises:
        UserError: If the config has no ``model``, its data sets disagree about the classes that it
            leaves to them, or the work folder cannot be written to.
    """
    if 'model' not in cfg:
        raise UserError(f'config {config_path}: expected a key model, got none; is it a base file?')
    default = cfg.get('work_dir') or Path('work_dirs') / Path(config_path).stem
    cfg['work_dir'] = str(work_dir or default)
    check_writable_folder(cfg['work_dir'], '--work-dir')
    fill_class_counts(cfg)
    cfg['launcher'] = launcher
    if launcher == 'pytorch':
        os.environ.setdefault('LOCAL_RANK', '0')
    runner_class = cfg.get('runner_type') or SegRunner
    if not (isinstance(runner_class, type) and issubclass(runner_class, ExactRunning)):
        raise UserError(
            f'runner_type: expected SegRunner, ShardedRunner or a subclass, got {runner_class!r}'
        )
    return runner_class.from_cfg(cfg)


def set_mixed_precision(cfg: Config) -> None:
    """Make a config train in 16 bits; one that does already stays as it is.

    Raises:
        UserError: If its optimizer wrapper is of another kind.
    """
    wrapper = cfg.get('optim_wrapper')
    if wrapper is None:
        raise UserError('--amp: expected a config with optim_wrapper, got none')
    kind = wrapper.get('type', OptimWrapper)
    if kind in (OptimWrapper, 'OptimWrapper'):
        wrapper['type'] = MixedPrecisionOptimWrapper
    elif kind not in (AmpOptimWrapper, 'AmpOptimWrapper', MixedPrecisionOptimWrapper):
        raise UserError(f'--amp: expected optim_wrapper.type OptimWrapper, got {kind}')


def set_auto_scale_lr(cfg: Config) -> None:
    """Turn on the scaling of the learning rate to the batch size.

    Raises:
        UserError: If the config does not say which batch size its learning rate is meant for.
    """
    scaling = cfg.get('auto_scale_lr')
    if not scaling or 'base_batch_size' not in scaling:
        raise UserError(
            '--auto-scale-lr: expected the config to have auto_scale_lr=dict(base_batch_size=N), '
            'got none'
        )
    scaling['enable'] = True
