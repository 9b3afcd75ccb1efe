"""A training loop over iterations that can start in the middle of its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from seg.engine.runner.training_state import capture_rng, restore_rng
from seg.registry import LOOPS
from seg.utils.checks import UserError


class EndlessBatches:
    """Batches of a data loader without end, from any position.

    Args:
        dataloader: The data loader. To start in constant time, its batch sampler has ``state_dict``
            and ``load_state_dict`` with the key ``batch_index`` (number of batches given out), or
            its sampler has ``skip(num_samples)``; otherwise the first batches of
            the current epoch are loaded and left.
    """

    def __init__(self, dataloader: DataLoader) -> None:
        self._dataloader = dataloader
        self._iterator: Iterator[Any] | None = None
        self._epoch = 0

    def __iter__(self) -> EndlessBatches:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._dataloader)
        try:
            return next(self._iterator)
        except StopIteration:
            self._start_epoch(self._epoch + 1)
            self._iterator = iter(self._dataloader)
            return next(self._iterator)

    def skip_iter(self, num_iters: int) -> None:
        """Continue after the first ``num_iters`` batches, without loading them."""
        batch_sampler: Any = self._dataloader.batch_sampler
        sampler: Any = self._dataloader.sampler
        if hasattr(batch_sampler, 'load_state_dict'):
            state = {**batch_sampler.state_dict(), 'batch_index': num_iters}
            batch_sampler.load_state_dict(state)
        elif hasattr(sampler, 'skip') and self._dataloader.batch_size:
            sampler.skip(num_iters * self._dataloader.batch_size)
        else:
            self._walk(num_iters)

    def _walk(self, num_iters: int) -> None:
        """Skip by epochs of a finite sampler, then load and leave the rest."""
        length = len(self._dataloader)
        if length == 0:
            raise UserError('train_dataloader: expected at least one batch per epoch, got none')
        epochs, rest = divmod(num_iters, length)
        self._start_epoch(epochs)
        random_states = capture_rng()
        self._iterator = iter(self._dataloader)
        for _ in range(rest):
            next(self._iterator)
        restore_rng(random_states)

    def _start_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        samplers: list[Any] = [self._dataloader.sampler, self._dataloader.batch_sampler]
        for sampler in samplers:
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """MMEngine's loop over iterations, made to resume at the batch where it was interrupted.

    Args:
        runner: The runner.
        dataloader: Data loader, or its config.
        max_iters: Number of iterations.
        val_begin: First iteration that may be followed by a validation.
        val_interval: Number of iterations from one validation to the next.
        dynamic_intervals: Pairs of an iteration and the interval that holds from there.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict[str, Any],
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader, max_iters, val_begin, val_interval, dynamic_intervals)
        self.dataloader_iterator = EndlessBatches(self.dataloader)

    def stop_after_this_iteration(self) -> None:
        """Make the running iteration the last one: what ends a training then happens after it."""
        self._max_iters = self._iter + 1
