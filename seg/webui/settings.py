"""What the server was started with, and its limits."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seg.utils.checks import UserError

if TYPE_CHECKING:
    from seg.apis.annotation.model import AnnotationModel

MIN_TOKEN = 8


@dataclass(frozen=True)
class Limits:
    """Bounds of what visitors can ask for.

    Attributes:
        upload_bytes: Size of one uploaded file.
        session_bytes: Size of all files that one session uploaded.
        pixels: Height times width of a frame of an uploaded file.
        frames: Frames of an uploaded video.
        json_bytes: Size of the body of other requests.
        annotation_bytes: Size of an uploaded file of annotations (JSON, XML).
        archive_bytes: Size of an uploaded archive of annotations when unpacked.
        open_sessions: Sessions in memory; those used least lately are dropped to disk.
        kept_sessions: Sessions in memory and on disk.
        idle_seconds: After how long an unused session is dropped to disk.
    """

    upload_bytes: int = 256 << 20
    session_bytes: int = 1 << 30
    pixels: int = 16_000_000
    frames: int = 3000
    json_bytes: int = 64 << 10
    annotation_bytes: int = 32 << 20
    archive_bytes: int = 256 << 20
    open_sessions: int = 8
    kept_sessions: int = 200
    idle_seconds: float = 900.0


@dataclass(frozen=True)
class Settings:
    """How a server was started.

    Attributes:
        work_dir: Where sessions are kept.
        models: What loads each model that can be chosen, by name; the first is the default.
        roots: Folders whose files can be opened, by the name that the page shows.
        host: Where it listens.
        token: What visitors must know; ``None`` lets everyone in.
        limits: Bounds.
    """

    work_dir: Path
    models: Mapping[str, Callable[[], AnnotationModel]]
    roots: Mapping[str, Path] = field(default_factory=dict)
    host: str = '127.0.0.1'
    token: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check.

        Raises:
            UserError: If there is no model, a root is no folder, or the server would be open to
                others without a token.
        """
        if not self.models:
            raise UserError('models: expected at least one, got none')
        for root in self.roots.values():
            if not root.is_dir():
                raise UserError(f'--folder {root}: expected a folder, got something else')
        if self.token is not None and len(self.token) < MIN_TOKEN:
            raise UserError(f'token: expected at least {MIN_TOKEN} characters, got fewer')
        if self.token is None and not is_loopback(self.host):
            raise UserError(
                f'--host {self.host}: expected a token for a server that others can reach, got '
                'none; name one, or let one be made'
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(18)
