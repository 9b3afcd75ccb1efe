"""A session of annotation: images and videos, saved with every change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seg.apis.annotation.exchange import matching, record_of, take_over
from seg.apis.annotation.formats import export_annotations, import_annotations
from seg.apis.annotation.item import AnnotatedItem
from seg.apis.annotation.media import Media, array_media, open_media
from seg.apis.annotation.model import AnnotationModel, FrameView
from seg.apis.annotation.propagation import Propagation, changed_runs, run_through
from seg.apis.annotation.session_files import Entry, SessionFolder
from seg.apis.annotation.state import BACKWARD, FORWARD
from seg.apis.image_sources import pictures_in
from seg.structures import Task
from seg.utils.checks import UserError

MAX_ITEMS = 2000
_UNSAFE = re.compile(r'[^\w.\- ]+')


class AnnotationSession:
    """Annotates images and videos with one model.

    Example::

        session = AnnotationSession(AnnotationModel(load_model('rap_sam_nano_shapes')))
        item = session.open('photo.jpg')
        star = item.add_object('star')
        item.add_click(star, 120, 80)
        session.export('coco', 'exported/')

    Args:
        model: What answers.
        folder: Where every change is saved; ``None`` keeps the session in memory.
        roots: Folders that media may be opened from; anywhere by default.
        save_at_once: Whether every change is written before a call returns; otherwise
            :meth:`save_changes` writes them.

    Raises:
        UserError: If the folder holds another session; :meth:`load` goes on with it.
    """

    def __init__(
        self,
        model: AnnotationModel,
        folder: str | Path | None = None,
        *,
        roots: Sequence[Path] | None = None,
        save_at_once: bool = True,
    ) -> None:
        self.model = model
        self._files = None if folder is None else SessionFolder(Path(folder))
        self.roots = None if roots is None else [root.resolve() for root in roots]
        self.entries: dict[str, Entry] = {}
        self._last_number = 0
        self._save_at_once = save_at_once
        self._unsaved: set[str] = set()
        self._media: dict[str, Media] = {}
        self._items: dict[str, AnnotatedItem] = {}
        self._view = model.view()
        if self._files is not None and self._files.session_file.exists():
            raise UserError(
                f'{folder}: expected a new folder, got one with a session; go on with it by '
                'AnnotationSession.load, or choose another'
            )

    @classmethod
    def load(
        cls,
        model: AnnotationModel,
        folder: str | Path,
        *,
        roots: Sequence[Path] | None = None,
        save_at_once: bool = True,
    ) -> AnnotationSession:
        """Go on with a saved session; what can be undone starts anew.

        Raises:
            FileNotFoundError: If there is none.
            UserError: If it is damaged, or names media outside the roots.
        """
        files = SessionFolder(Path(folder))
        saved = files.read()
        session = cls(model, None, roots=roots, save_at_once=save_at_once)
        session._files, session._last_number = files, saved.last_number
        session.entries = {entry.item_id: entry for entry in saved.entries}
        return session

    @property
    def folder(self) -> Path | None:
        """Where it is saved, if anywhere."""
        return None if self._files is None else self._files.path

    # Media.

    def open(self, source: str | Path | np.ndarray, name: str | None = None) -> AnnotatedItem:
        """Add an image or a video, from a file or an array, and open it.

        Args:
            source: An image or video file, or frames (H, W, 3) or (T, H, W, 3), uint8, RGB.
            name: What it is called; that of the file by default.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If it is neither, broken, or outside the roots.
        """
        if isinstance(source, np.ndarray):
            return self._open_array(source, name or 'array')
        path = self._allowed(Path(source))
        if path.is_dir():
            raise UserError(
                f'{path.name}: expected a file, got a folder; open its images with open_folder, or '
                'the folder as a video with open_video'
            )
        return self._add(path, open_media(path, name))

    def open_video(self, folder: str | Path, name: str | None = None) -> AnnotatedItem:
        """Add a folder of frames, or a video file, as a video and open it.

        Raises:
            FileNotFoundError: If there is none.
            UserError: If it holds no frames, or is outside the roots.
        """
        path = self._allowed(Path(folder))
        media = open_media(path, name)
        if not media.is_video:
            raise UserError(f'{path.name}: expected a video, got an image; open it with open')
        return self._add(path, media)

    def open_folder(self, folder: str | Path) -> list[str]:
        """Add all images of a folder; returns their ids. They are read when they are looked at.

        Raises:
            FileNotFoundError: If there is no such folder.
            UserError: If it holds no images, or is outside the roots.
        """
        path = self._allowed(Path(folder))
        if not path.is_dir():
            raise FileNotFoundError(f'{path.name}: expected a folder, got no such folder')
        files = pictures_in(path)
        if not files:
            raise UserError(f'{path.name}: expected a folder of images, got one without any')
        self._check_room(len(files))
        ids = [self._new_entry(file, file.stem, False).item_id for file in files]
        self._save_entries()
        return ids

    def item(self, item_id: str) -> AnnotatedItem:
        """An item by its id, opened if it was not yet.

        Raises:
            UserError: If there is none, or it cannot be opened any more.
            FileNotFoundError: If its file is gone.
        """
        if item_id not in self.entries:
            raise UserError(f'item {item_id!r:.20}: expected one of this session, got another')
        for other, media in self._media.items():
            if other != item_id:
                media.release()
        if item_id not in self._items:
            entry = self.entries[item_id]
            path = self._allowed(self._place(entry.path))
            self._register(entry, open_media(path, entry.name))
        return self._items[item_id]

    def remove_item(self, item_id: str) -> None:
        """Take an item out of the session; its file stays.

        Raises:
            UserError: If there is none, or its objects are being followed.
        """
        if item_id not in self.entries:
            raise UserError(f'item {item_id!r:.20}: expected one of this session, got another')
        if item_id in self._items and self._items[item_id].running:
            raise UserError('item: expected no objects being followed; stop that first')
        del self.entries[item_id]
        self._items.pop(item_id, None)
        self._media.pop(item_id, None)
        if self._files is not None:
            self._files.delete_state(item_id)
        self._save_entries()

    # Following.

    def propagate(
        self,
        item_id: str,
        start: int,
        *,
        backward: bool = False,
        num_frames: int | None = None,
        object_ids: Sequence[int] | None = None,
        task: Task | str = Task.VOS,
    ) -> Propagation:
        """Follow objects from a frame on; iterate over what is returned.

        Args:
            item_id: A video.
            start: The first frame.
            backward: Whether to go towards the first frame.
            num_frames: How many frames; to the end by default.
            object_ids: Which objects; all by default.
            task: ``vos``, where objects never overlap, or ``interactive_video``.

        Raises:
            UserError: If the model has no memory, or nothing is known about the objects.
        """
        item = self.item(item_id)
        direction = BACKWARD if backward else FORWARD
        runs = run_through(item, start, direction, num_frames, object_ids)
        return Propagation(self.model, item, runs, Task.parse(task))

    def propagate_changed(self, item_id: str, task: Task | str = Task.VOS) -> Propagation:
        """Follow again only what corrections have changed.

        Raises:
            UserError: If nothing has changed, or the model has no memory.
        """
        item = self.item(item_id)
        runs = changed_runs(item)
        if not runs:
            raise UserError('propagate: expected corrections since the last time, got none')
        return Propagation(self.model, item, runs, Task.parse(task))

    def num_changed(self, item_id: str) -> int:
        """How many frames :meth:`propagate_changed` would answer."""
        return sum(run.num_frames - 1 for run in changed_runs(self.item(item_id)))

    def set_model(self, model: AnnotationModel) -> None:
        """Go on with another model."""
        self.model, self._view = model, model.view()
        self._save_entries()

    def release(self) -> None:
        """Free features and frames; everything is there again when it is needed."""
        self._view.release()
        for media in self._media.values():
            media.release()

    # Files.

    def export(
        self,
        name: str,
        folder: str | Path,
        *,
        item_ids: Sequence[str] | None = None,
        accepted_only: bool = False,
    ) -> None:
        """Write annotations with their pictures.

        Args:
            name: A key of :data:`~seg.apis.annotation.FORMATS`.
            folder: A new or empty folder.
            item_ids: Which items; by default all that have objects.
            accepted_only: Whether objects that no one called done are left out.

        Raises:
            UserError: If the format is unknown or cannot hold the annotations, or there are none.
        """
        chosen = self._annotated() if item_ids is None else item_ids
        records = [record_of(self.item(item_id), accepted_only) for item_id in chosen]
        if item_ids is None:
            records = [record for record in records if record.objects]
        export_annotations(records, name, folder)

    def import_annotations(self, name: str, folder: str | Path) -> dict[str, list[int]]:
        """Add the objects of annotation files to the items of the same names.

        Args:
            name: A key of :data:`~seg.apis.annotation.FORMATS`.
            folder: With the files; pictures are not needed.

        Returns:
            Ids of the new objects by item.

        Raises:
            FileNotFoundError: If a file is missing.
            UserError: If a file is malformed, or about other images.
        """
        records = import_annotations(name, folder)
        added: dict[str, list[int]] = {}
        for entry in self.entries.values():
            record = matching(records, entry.name)
            if record is not None:
                added[entry.item_id] = take_over(self.item(entry.item_id), record)
        if not added:
            names = ', '.join(record.name for record in records[:3]) or 'none'
            raise UserError(
                f'import: expected annotations of images or videos of this session, got those of '
                f'{names}; open these first, under the same names'
            )
        return added

    def save(self) -> None:
        """Write everything to the folder.

        Raises:
            UserError: If the session has none.
            OSError: If it cannot be written.
        """
        if self._files is None:
            raise UserError('save: expected a session with a folder, got one in memory')
        self._save_entries()
        for item in self._items.values():
            self._write_item(item)
        self._unsaved.clear()

    def save_changes(self) -> None:
        """Write the items that changed since they were written last.

        Raises:
            OSError: If they cannot be written.
        """
        while self._unsaved:
            item = self._items.get(self._unsaved.pop())
            if item is not None:
                self._write_item(item)

    def _open_array(self, array: np.ndarray, name: str) -> AnnotatedItem:
        media = array_media(array, name)
        if self._files is None:
            return self._add(Path(name), media)
        self._check_room(1)
        path = self._files.keep_frames(media, f'array{self._last_number + 1}')
        return self._add(path, open_media(path, name))

    def _add(self, path: Path, media: Media) -> AnnotatedItem:
        self._check_room(1)
        entry = self._new_entry(path, media.name, media.is_video)
        item = self._register(entry, media)
        self._save_entries()
        return item

    def _register(self, entry: Entry, media: Media) -> AnnotatedItem:
        media.name = entry.name
        files = self._files
        state = None if files is None else files.read_state(entry.item_id, media.size)
        item = AnnotatedItem(entry.item_id, media, self._current_view, state, self._save_item)
        self._media[entry.item_id], self._items[entry.item_id] = media, item
        return item

    def _new_entry(self, path: Path, name: str, is_video: bool) -> Entry:
        place = path.resolve()
        if self._files is not None:
            place = self._files.shortened(place)
        entry = Entry(self._next_id(), self._unique_name(name), str(place), is_video)
        self.entries[entry.item_id] = entry
        return entry

    def _unique_name(self, name: str) -> str:
        """A name that can be part of a file name, and that no other item has."""
        plain = _UNSAFE.sub('_', name).strip('. ')[:80] or 'item'
        taken = {entry.name for entry in self.entries.values()}
        number, unique = 1, plain
        while unique in taken:
            number += 1
            unique = f'{plain}_{number}'
        return unique

    def _next_id(self) -> str:
        """Ids are not used again."""
        self._last_number += 1
        return f'i{self._last_number}'

    def _check_room(self, count: int) -> None:
        if len(self.entries) + count > MAX_ITEMS:
            raise UserError(f'items: expected at most {MAX_ITEMS} in a session, got more')

    def _place(self, path: str) -> Path:
        """A path of an entry; those of files in the session's own folder are relative to it."""
        return Path(path) if self.folder is None else self.folder / path

    def _allowed(self, path: Path) -> Path:
        """The path, if it lies in one of the roots or in the session's own folder."""
        if self.roots is None:
            return path
        own = [] if self.folder is None else [self.folder.resolve()]
        resolved = path.resolve()
        files = [file.resolve() for file in resolved.iterdir()] if resolved.is_dir() else []
        if not all(
            any(one.is_relative_to(root) for root in (*self.roots, *own))
            for one in (resolved, *files)
        ):
            raise UserError(
                f'{path.name}: expected a file in one of the folders that may be read, got one '
                'outside; name its folder at the start'
            )
        return resolved

    def _current_view(self) -> FrameView:
        return self._view

    def _annotated(self) -> list[str]:
        """Items about which anything was said."""
        files = self._files
        return [
            key
            for key in self.entries
            if key in self._items or (files is not None and files.has_state(key))
        ]

    def _save_item(self, item: AnnotatedItem) -> None:
        if self._save_at_once:
            self._write_item(item)
        else:
            self._unsaved.add(item.item_id)

    def _write_item(self, item: AnnotatedItem) -> None:
        if self._files is not None:
            self._files.write_state(item.item_id, item.state)

    def _save_entries(self) -> None:
        if self._files is not None:
            self._files.write(self.model.name, self._last_number, self.entries.values())
