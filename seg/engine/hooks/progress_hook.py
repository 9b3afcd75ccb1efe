"""A progress bar for those who watch, log lines for those who do not."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.registry import HOOKS

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a progress bar with the time left, loss and learning rate on a terminal.

    While the bar is shown, the lines of MMEngine's logger go to its file alone, warnings excepted,
    so nothing is printed twice. Where standard error is no terminal there is no bar, and these
    lines are printed as always.

    Args:
        enabled: Whether to show the bar; ``None`` asks whether standard error is a terminal.
        window: Number of iterations over which the shown loss is averaged.
    """

    priority = 'VERY_LOW'
    only_one = True

    def __init__(self, enabled: bool | None = None, window: int = 20) -> None:
        self.enabled = enabled
        self.window = window
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._levels: list[tuple[logging.StreamHandler, int]] = []

    def before_train(self, runner: Runner) -> None:
        """Show the bar and quieten the logger on the terminal."""
        enabled = sys.stderr.isatty() if self.enabled is None else self.enabled
        if not enabled or not is_main_process():
            return
        self._progress = _new_progress()
        self._task = self._progress.add_task(
            'training', total=runner.max_iters, completed=runner.iter, info='', metrics=''
        )
        self._progress.start()
        for handler in runner.logger.handlers:
            if type(handler) is logging.StreamHandler:
                self._levels.append((handler, handler.level))
                handler.setLevel(logging.WARNING)
                handler.setStream(sys.stderr)  # rich's, which prints above the bar

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Move the bar on."""
        if self._progress is None or self._task is None:
            return
        self._progress.update(
            self._task,
            total=runner.max_iters,
            completed=runner.iter + 1,
            info=self._info(runner),
        )

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Print the metrics above the bar."""
        if self._progress is None:
            return
        shown = '  '.join(f'{k} {v:.4g}' for k, v in (metrics or {}).items() if _is_scalar(v))
        self._progress.console.print(f'iteration {runner.iter}: {shown}', highlight=False)

    def after_train(self, runner: Runner) -> None:
        """Take the bar away and give the logger its voice back."""
        self.on_exit(runner)

    def on_exit(self, runner: Runner) -> None:
        """Do so when training was interrupted, too: the bar hides the cursor."""
        if self._progress is None:
            return
        self._progress.stop()
        self._progress = None
        for handler, level in self._levels:
            handler.setLevel(level)
            handler.setStream(sys.stderr)
        self._levels = []

    def _info(self, runner: Runner) -> str:
        hub = runner.message_hub
        parts = []
        if 'train/loss' in hub.log_scalars:
            parts.append(f'loss {hub.get_scalar("train/loss").mean(self.window):.3f}')
        rates = [group['lr'] for group in runner.optim_wrapper.param_groups]
        parts.append(f'lr {max(rates):.1e}')
        return '  '.join(parts)


def _new_progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn('{task.description}'),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn('left'),
        TimeRemainingColumn(),
        TextColumn('{task.fields[info]}'),
        console=Console(stderr=True),
    )


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float))
