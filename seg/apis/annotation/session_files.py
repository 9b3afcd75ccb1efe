"""The folder of a session: what is annotated, where it is, and every change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from seg.apis.annotation.media import Media
from seg.apis.annotation.state import ItemState
from seg.apis.annotation.state_json import state_from_json, state_to_json
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError
from seg.visualization.picture_file import write_picture

FORMAT = 'rapsam-annotation-session-1'
_ITEM_ID = re.compile(r'i[1-9][0-9]{0,5}')


@dataclass(frozen=True)
class Entry:
    """An image or video of a session, which is opened when it is looked at.

    Attributes:
        item_id: Unique in the session.
        name: Unique too; names files of exports.
        path: Where it is; relative to the session's folder for files in there.
        is_video: Whether it is a video.
    """

    item_id: str
    name: str
    path: str
    is_video: bool


class SavedSession(NamedTuple):
    """What ``session.json`` holds.

    Attributes:
        model: Name of the model that was used last.
        last_number: Of the ids of items.
        entries: All items.
    """

    model: str
    last_number: int
    entries: list[Entry]


class SessionFolder:
    """Reads and writes the files of a session: ``session.json``, ``items/``, ``media/``.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def session_file(self) -> Path:
        """The list of items."""
        return self.path / 'session.json'

    def read(self) -> SavedSession:
        """What was saved.

        Raises:
            FileNotFoundError: If there is nothing.
            UserError: If it is damaged.
        """
        path = self.session_file
        if not path.is_file():
            raise FileNotFoundError(f'{path}: expected a saved session, got no such file')
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            if content['format'] != FORMAT:
                raise UserError(f'expected the format {FORMAT}')
            entries = [Entry(**entry) for entry in content['entries']]
            saved = SavedSession(str(content['model']), int(content['last_number']), entries)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'{path}: expected a saved session, got a damaged file ({error!s:.200})'
            ) from None
        for entry in entries:
            if not _ITEM_ID.fullmatch(entry.item_id):
                raise UserError(f'{path}: expected ids such as i1, got {entry.item_id!r:.20}')
        return saved

    def write(self, model: str, last_number: int, entries: Iterable[Entry]) -> None:
        """Save the list of items."""
        content = {
            'format': FORMAT,
            'model': model,
            'last_number': last_number,
            'entries': [asdict(entry) for entry in entries],
        }
        write_bytes_atomically(self.session_file, json.dumps(content).encode('utf-8'))

    def has_state(self, item_id: str) -> bool:
        """Whether anything was said about an item."""
        return self._state_file(item_id).is_file()

    def read_state(self, item_id: str, size: tuple[int, int]) -> ItemState | None:
        """The objects of an item of that size (H, W); ``None`` if nothing was saved.

        Raises:
            UserError: If the file is damaged.
        """
        file = self._state_file(item_id)
        if not file.is_file():
            return None
        return state_from_json(file.read_text(encoding='utf-8'), size, file.name)

    def write_state(self, item_id: str, state: ItemState) -> None:
        """Save the objects of an item."""
        write_bytes_atomically(self._state_file(item_id), state_to_json(state).encode('utf-8'))

    def delete_state(self, item_id: str) -> None:
        """Delete the objects of an item."""
        self._state_file(item_id).unlink(missing_ok=True)

    def keep_frames(self, media: Media, name: str) -> Path:
        """Write frames that are only in memory; returns the file or folder to open."""
        kept = self.path / 'media' / name
        for index in range(media.num_frames):
            write_picture(kept / f'{index:05d}.png', media.read(index))
        return kept if media.is_video else kept / '00000.png'

    def shortened(self, path: Path) -> Path:
        """A path as entries hold it."""
        own = self.path.resolve()
        return path.relative_to(own) if path.is_relative_to(own) else path

    def _state_file(self, item_id: str) -> Path:
        return self.path / 'items' / f'{item_id}.json'
