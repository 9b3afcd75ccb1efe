"""Following objects in the background of a session."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from seg.apis.annotation import Progress, Propagation
from seg.utils.checks import UserError
from seg.webui.replies import without_paths

_logger = logging.getLogger(__name__)


class Job:
    """Runs a propagation in a thread of its own.

    Args:
        item_id: What it works on.
        propagation: What it does.
        finished: Called when it is done or stopped.
    """

    def __init__(
        self, item_id: str, propagation: Propagation, finished: Callable[[], None]
    ) -> None:
        self.item_id, self.propagation, self._finished = item_id, propagation, finished
        self.progress: Progress | None = None
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name='follow', daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether it is not done."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self.propagation.item.running = True
        self._thread.start()

    def stop(self) -> None:
        """Stop after the frame at hand."""
        self.propagation.stop()

    def wait(self, seconds: float) -> None:
        """Wait until it is done, at most so long."""
        self._thread.join(seconds)

    def report(self) -> dict[str, Any]:
        """How far it is, for the page."""
        progress = self.progress
        return {
            'item': self.item_id,
            'running': self.is_running,
            'done': 0 if progress is None else progress.done,
            'total': self.propagation.total,
            'frame': None if progress is None else progress.frame,
            'error': self.error,
        }

    def _run(self) -> None:
        try:
            for progress in self.propagation:
                self.progress = progress
            self._finished()
        except (UserError, OSError) as error:
            self.error = without_paths(str(error))
        except Exception:  # a thread has nobody above it that could tell
            _logger.exception('following objects failed')
            self.error = 'something went wrong; the log of the server says what'
