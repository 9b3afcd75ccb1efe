"""When checkpoints are written, and which of them are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.registry import HOOKS
from seg.utils.atomic_write import remove_leftovers, write_bytes_atomically
from seg.utils.checkpoints import LAST_CHECKPOINT, read_checkpoint
from seg.utils.checks import UserError, unknown_name_message

_BEST = 'best.pth'


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Writes training states ``iter_N.pth`` or ``epoch_N.pth``, and the best weights ``best.pth``.

    A new file is complete before an older one is removed, so whatever happens there is a checkpoint
    to resume from.

    Args:
        interval: Iterations (or epochs) between two training states; -1 for none but the last.
        by_epoch: Whether ``interval`` counts epochs.
        max_keep_ckpts: How many training states to keep; -1 for all.
        save_last: Whether to write one at the end.
        save_best: Metric by which the best weights are told, or several, whose mean decides;
            ``None`` keeps no best weights.
        rule: ``'greater'`` or ``'less'``: which value of the metric is better.
        save_optimizer: Whether training states can be resumed from, rather than hold weights alone.

    Raises:
        UserError: If ``rule`` is unknown, or, after validation, ``save_best`` names no metric.
    """

    priority = 'VERY_LOW'

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = False,
        max_keep_ckpts: int = 2,
        save_last: bool = True,
        save_best: str | Sequence[str] | None = None,
        rule: str = 'greater',
        save_optimizer: bool = True,
    ) -> None:
        if rule not in ('greater', 'less'):
            raise UserError(unknown_name_message('checkpoint rule', rule, ('greater', 'less')))
        self.interval = interval
        self.by_epoch = by_epoch
        self.max_keep_ckpts = max_keep_ckpts
        self.save_last = save_last
        self.save_best = [save_best] if isinstance(save_best, str) else list(save_best or ())
        self.rule = rule
        self.save_optimizer = save_optimizer
        self._best_score: float | None = None
        self._last_saved: int | None = None

    def before_train(self, runner: Runner) -> None:
        """Tidy up after a killed run and recall the best score of a resumed one."""
        folder = Path(runner.work_dir)
        if is_main_process():
            remove_leftovers(folder)
        best = folder / _BEST
        if runner.iter == 0 and (folder / LAST_CHECKPOINT).exists():
            runner.logger.warning(
                f'{folder} holds checkpoints of an earlier run, which this one replaces as it goes '
                'on; use --resume to continue that run, or --work-dir for another folder'
            )
        if runner.iter > 0 and self.save_best and best.is_file():
            self._best_score = read_checkpoint(best)['meta'].get('best_score')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Write a training state every ``interval`` iterations and at the end."""
        if self.by_epoch:
            return
        due = self.every_n_train_iters(runner, self.interval)
        if due or (self.save_last and runner.iter + 1 >= runner.max_iters):
            self._save(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Write a training state every ``interval`` epochs and at the end."""
        if not self.by_epoch:
            return
        due = self.every_n_epochs(runner, self.interval)
        if due or (self.save_last and self.is_last_train_epoch(runner)):
            self._save(runner, runner.epoch + 1)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the weights if they are the best so far."""
        if not self.save_best or metrics is None:
            return
        score = self._score(metrics)
        if not self._is_better(score):
            return
        self._best_score = score
        meta = {
            'epoch': runner.epoch,
            'iter': runner.iter,
            'best_score': score,
            'best_metric': ' + '.join(self.save_best),
            'metrics': {key: float(metrics[key]) for key in self.save_best},
        }
        runner.save_checkpoint(
            runner.work_dir, _BEST, save_optimizer=False, save_param_scheduler=False, meta=meta
        )
        runner.logger.info(f'best {meta["best_metric"]} so far, {score:.4f}: saved {_BEST}')

    def _save(self, runner: Runner, step: int) -> None:
        if self._last_saved == step:
            return
        name = f'epoch_{step}.pth' if self.by_epoch else f'iter_{step}.pth'
        runner.save_checkpoint(
            runner.work_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_optimizer,
            by_epoch=self.by_epoch,
        )
        self._last_saved = step
        self._point_to(runner, name)
        self._remove_old(runner, step)
        runner.logger.info(f'saved {name}')

    @master_only
    def _point_to(self, runner: Runner, name: str) -> None:
        path = Path(runner.work_dir) / name
        write_bytes_atomically(path.parent / LAST_CHECKPOINT, f'{path}\n'.encode())

    @master_only
    def _remove_old(self, runner: Runner, newest: int) -> None:
        """Keep the newest training states of this run; a later one is of a run replaced by it."""
        if self.max_keep_ckpts < 1:
            return
        prefix = 'epoch_' if self.by_epoch else 'iter_'
        steps = {
            int(file.stem.removeprefix(prefix)): file
            for file in Path(runner.work_dir).glob(f'{prefix}*.pth')
            if file.stem.removeprefix(prefix).isdigit()
        }
        kept = sorted(step for step in steps if step <= newest)[-self.max_keep_ckpts :]
        for step, file in steps.items():
            if step not in kept:
                file.unlink(missing_ok=True)

    def _score(self, metrics: Mapping[str, float]) -> float:
        for key in self.save_best:
            if key not in metrics:
                raise UserError(
                    unknown_name_message('metric of checkpoint.save_best', key, metrics)
                )
        return sum(float(metrics[key]) for key in self.save_best) / len(self.save_best)

    def _is_better(self, score: float) -> bool:
        if self._best_score is None:
            return score == score  # not NaN
        return score > self._best_score if self.rule == 'greater' else score < self._best_score
