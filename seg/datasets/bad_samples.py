"""Counting damaged samples over all workers of a loader."""

from __future__ import annotations

import logging
import multiprocessing

from mmengine.logging import print_log

from seg.utils.checks import UserError


class BadSamples:
    """Which samples of a data set turned out to be damaged; all workers share one list.

    Args:
        limit: How many are tolerated; with 0 the first one is an error.

    Raises:
        UserError: If the limit is negative.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise UserError(f'max_bad_samples: expected 0 or more, got {limit}')
        self.limit = limit
        # Number of damaged samples, then their indices.
        self._shared = multiprocessing.Array('q', limit + 1) if limit else None

    def __len__(self) -> int:
        """How many different samples were found damaged."""
        return 0 if self._shared is None else int(self._shared[0])

    def __contains__(self, index: int) -> bool:
        """Whether a sample is known to be damaged."""
        shared = self._shared
        return shared is not None and index in shared[1 : 1 + shared[0]]

    def record(self, index: int, error: UserError | OSError) -> None:
        """Count a damaged sample and log why.

        Args:
            index: The sample.
            error: What is wrong with it.

        Raises:
            UserError: If there are more than the limit; with a limit of 0, the error itself.
        """
        if self._shared is None:
            raise error
        with self._shared.get_lock():
            if index in self:
                return
            count = self._shared[0] + 1
            if count > self.limit:
                raise UserError(
                    f'max_bad_samples: expected at most {self.limit} damaged samples, got one '
                    f'more: {error}'
                ) from error
            self._shared[0], self._shared[count] = count, index
        print_log(
            f'damaged sample {count} of at most {self.limit} is skipped: {error}',
            'current',
            logging.WARNING,
        )
