"""Sessions of visitors: apart from each other, a few in memory, the rest on disk."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from seg.apis.annotation import AnnotationModel, AnnotationSession
from seg.apis.annotation.session_files import SessionFolder
from seg.utils.checks import UserError
from seg.webui.jobs import Job
from seg.webui.replies import RefusalError
from seg.webui.settings import Settings

SESSION_ID = re.compile(r'[A-Za-z0-9_-]{24}')


@dataclass
class Held:
    """A session in memory.

    Attributes:
        session: The session.
        lock: Held while a request uses it.
        used: When it was used last, by the monotonic clock.
        users: Requests that use it or wait for it.
        job: What follows objects, or did so last.
    """

    session: AnnotationSession
    lock: threading.RLock = field(default_factory=threading.RLock)
    used: float = field(default_factory=time.monotonic)
    users: int = 0
    job: Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether it must stay in memory."""
        return self.users > 0 or (self.job is not None and self.job.is_running)


class SessionStore:
    """All sessions of a server.

    Args:
        settings: Of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.work_dir / 'sessions'
        self._held: dict[str, Held] = {}
        self._models: dict[str, AnnotationModel] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    def model(self, name: str) -> AnnotationModel:
        """A model by its name, loaded when it is first asked for.

        Raises:
            UserError: If there is none.
        """
        if name not in self.settings.models:
            known = ', '.join(self.settings.models)
            raise UserError(f'model {name!r:.40}: expected one of {known}')
        with self._loading:
            if name not in self._models:
                self._models[name] = self.settings.models[name]()
            return self._models[name]

    @property
    def num_open(self) -> int:
        """Sessions in memory."""
        return len(self._held)

    def create(self) -> str:
        """Begin a session; returns its id, which nobody can guess.

        Raises:
            RefusalError: If there are too many.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if sum(1 for _ in self.folder.iterdir()) >= self.settings.limits.kept_sessions:
            raise RefusalError(503, 'expected fewer sessions on this server; ask who runs it')
        session_id = secrets.token_urlsafe(18)
        model = self.model(next(iter(self.settings.models)))
        session = AnnotationSession(
            model,
            self.folder / session_id,
            roots=list(self.settings.roots.values()),
            save_at_once=False,
        )
        session.save()
        with self._lock:
            self._held[session_id] = Held(session)
        self.drop_idle()
        return session_id

    def exists(self, session_id: str | None) -> bool:
        """Whether there is such a session."""
        return (
            session_id is not None
            and SESSION_ID.fullmatch(session_id) is not None
            and (session_id in self._held or (self.folder / session_id / 'session.json').is_file())
        )

    @contextmanager
    def use(self, session_id: str) -> Iterator[Held]:
        """A session, loaded if it was dropped, for one request at a time.

        Raises:
            RefusalError: If there is none.
            UserError: If its files are damaged.
        """
        held = self._enter(session_id)
        try:
            with held.lock:
                yield held
        finally:
            with self._lock:
                held.users -= 1
                held.used = time.monotonic()

    def delete(self, session_id: str) -> None:
        """Delete a session and its files.

        Raises:
            RefusalError: If there is none, or it is being used.
        """
        with self._lock:
            held = self._held.get(session_id)
            if held is not None and held.is_busy:
                raise RefusalError(409, 'expected nothing being done; stop following objects first')
            self._held.pop(session_id, None)
        if not self.exists(session_id):
            raise RefusalError(404, 'expected a session, got none')
        shutil.rmtree(self.folder / session_id)

    def drop_idle(self) -> None:
        """Drop sessions to disk that nobody uses, and the oldest ones if there are too many."""
        limits = self.settings.limits
        now = time.monotonic()
        with self._lock:
            resting = [(held.used, key) for key, held in self._held.items() if not held.is_busy]
            surplus = len(self._held) - limits.open_sessions
            for place, (used, key) in enumerate(sorted(resting)):
                if place < surplus or now - used > limits.idle_seconds:
                    dropped = self._held.pop(key).session
                    dropped.save_changes()
                    dropped.release()

    def save(self, session_id: str) -> None:
        """Write what changed in a session, if it is in memory."""
        held = self._held.get(session_id)
        if held is not None:
            with held.lock:
                held.session.save_changes()

    def save_all(self) -> None:
        """Write what changed in all sessions."""
        for session_id in list(self._held):
            self.save(session_id)

    def _enter(self, session_id: str) -> Held:
        with self._lock:
            held = self._held.get(session_id)
            if held is not None:
                held.users += 1
                return held
        if not self.exists(session_id):
            raise RefusalError(404, 'expected a session, got none; reload the page')
        model = self.model(self._model_name(session_id))
        session = AnnotationSession.load(
            model,
            self.folder / session_id,
            roots=list(self.settings.roots.values()),
            save_at_once=False,
        )
        with self._lock:
            held = self._held.setdefault(session_id, Held(session))
            held.users += 1
        self.drop_idle()
        return held

    def _model_name(self, session_id: str) -> str:
        """The model that a session used last, if the server has it."""
        name = SessionFolder(self.folder / session_id).read().model
        known = self.settings.models
        return name if name in known else next(iter(known))
