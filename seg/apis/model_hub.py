"""Model folders on a hub; nothing is fetched or sent unless a hub is named."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from seg.apis.model_folder import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from seg.utils.checks import UserError, first_line

_PREFIX = 'hub:'
_NAME = re.compile(r'hub:([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?')


def is_hub_name(name: str | os.PathLike[str]) -> bool:
    """Whether a name asks for a hub: ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``."""
    return isinstance(name, str) and name.startswith(_PREFIX)


def download_model_folder(name: str) -> Path:
    """Fetch a published model, or find it in the hub's cache.

    Args:
        name: ``hub:OWNER/NAME``, with ``@REVISION`` for a certain version.

    Raises:
        UserError: If the name has another form, the package huggingface_hub is missing, or the hub
            does not give the files.
    """
    repository, revision = _parse(name)
    hub = _import_hub()
    try:
        return Path(
            hub.snapshot_download(
                repository,
                revision=revision,
                allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, CARD_FILE],
            )
        )
    except (OSError, ValueError) as error:
        raise _refused(name, error) from error


def upload_model_folder(folder: Path, name: str) -> None:
    """Send a published model, with the rights of whoever is logged in.

    Args:
        folder: Of :func:`~seg.apis.model_folder.publish_model`.
        name: ``hub:OWNER/NAME``.

    Raises:
        UserError: As :func:`download_model_folder`.
    """
    repository, revision = _parse(name)
    hub = _import_hub()
    try:
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(
            repo_id=repository,
            folder_path=str(folder),
            revision=revision,
            allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, CARD_FILE],
        )
    except (OSError, ValueError) as error:
        raise _refused(name, error) from error


def _parse(name: str) -> tuple[str, str | None]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(f'{name}: expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION')
    return match[1], match[2]


def _refused(name: str, error: Exception) -> UserError:
    reason = first_line(error)
    return UserError(f'{name}: expected the hub to answer, got {type(error).__name__}: {reason}')


def _import_hub() -> Any:
    """huggingface_hub, which is optional."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            'hub: expected the package huggingface_hub, which is not installed; '
            "pip install 'rapsam[hub]'"
        ) from error
    return huggingface_hub
