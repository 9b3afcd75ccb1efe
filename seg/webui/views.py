"""What the page is told about sessions, items and frames."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from seg.apis.annotation import FORMATS, AnnotatedItem, AnnotationSession
from seg.apis.annotation.state import AnnotatedObject
from seg.apis.annotation.state_json import prompts_to_json
from seg.apis.video_sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from seg.visualization.palettes import id_color
from seg.webui.settings import Settings
from seg.webui.store import Held

MAX_LISTED = 2000


def describe_server(settings: Settings) -> dict[str, Any]:
    """Models, folders, formats and limits."""
    limits = settings.limits
    return {
        'models': list(settings.models),
        'folders': [
            {'name': name, 'files': list_folder(path)} for name, path in settings.roots.items()
        ],
        'formats': {name: known.title for name, known in FORMATS.items()},
        'limits': {
            'upload_bytes': limits.upload_bytes,
            'pixels': limits.pixels,
            'frames': limits.frames,
        },
        'session': None,
    }


def list_folder(folder: Path) -> list[dict[str, str]]:
    """What can be opened in a folder: images, videos, and folders of images."""
    entries = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith('.'):
            continue
        suffix = path.suffix.lower()
        if path.is_dir():
            if _holds_images(path):
                entries.append({'name': path.name, 'kind': 'folder'})
        elif suffix in IMAGE_SUFFIXES or suffix in VIDEO_SUFFIXES:
            kind = 'image' if suffix in IMAGE_SUFFIXES else 'video'
            entries.append({'name': path.name, 'kind': kind})
    return entries[:MAX_LISTED]


def _holds_images(folder: Path) -> bool:
    """Whether there are images in a folder; none are seen in one that may not be read."""
    try:
        return any(child.suffix.lower() in IMAGE_SUFFIXES for child in folder.iterdir())
    except PermissionError:
        return False


def describe_session(held: Held) -> dict[str, Any]:
    """The model, the items, and what is being followed."""
    session = held.session
    model = session.model
    return {
        'model': model.name,
        'follows': model.follows,
        'finds': model.finds,
        'names_everything': model.names_everything,
        'kinds': sorted(model.prompt_kinds),
        'classes': list(model.classes),
        'items': [
            {'id': entry.item_id, 'name': entry.name, 'video': entry.is_video}
            for entry in session.entries.values()
        ],
        'job': None if held.job is None else held.job.report(),
    }


def describe_item(session: AnnotationSession, item: AnnotatedItem) -> dict[str, Any]:
    """An item without its masks."""
    media, timeline = item.media, item.timeline()
    height, width = media.size
    return {
        'id': item.item_id,
        'stamp': _stamp(session, item),
        'name': media.name,
        'video': media.is_video,
        'width': width,
        'height': height,
        'frames': media.num_frames,
        'fps': media.source.frames_per_second or 12.0,
        'objects': [_describe_object(one) for one in item.objects],
        'prompted': timeline.prompted,
        'corrected': timeline.corrected,
        'followed': _ranges(timeline.followed),
        'to_redo': session.num_changed(item.item_id),
        'undo': item.history.can_undo,
        'redo': item.history.can_redo,
        'running': item.running,
    }


def describe_frame(item: AnnotatedItem, frame: int) -> dict[str, Any]:
    """Masks and prompts on a frame, by object.

    Raises:
        UserError: If there is no such frame.
    """
    item.check_frame(frame)
    shown = {}
    for one in item.objects:
        mask, prompts = one.masks.get(frame), one.prompts.get(frame)
        shown[one.object_id] = {
            'counts': None if mask is None else mask.counts,
            'origin': None if mask is None else mask.origin.value,
            'score': None if mask is None else mask.score,
            'prompts': None if prompts is None else prompts_to_json(prompts),
        }
    return {'frame': frame, 'objects': shown}


def _stamp(session: AnnotationSession, item: AnnotatedItem) -> str:
    """Part of the addresses of pictures, so that browsers never show those of another session."""
    text = f'{session.folder}/{item.item_id}'
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _describe_object(one: AnnotatedObject) -> dict[str, Any]:
    return {
        'id': one.object_id,
        'label': one.label,
        'accepted': one.accepted,
        'hidden': one.hidden,
        'color': list(id_color(one.object_id)),
        'masks': len(one.masks),
    }


def _ranges(frames: list[int]) -> list[list[int]]:
    """Sorted numbers as ranges [first, last]."""
    ranges: list[list[int]] = []
    for frame in frames:
        if ranges and ranges[-1][1] == frame - 1:
            ranges[-1][1] = frame
        else:
            ranges.append([frame, frame])
    return ranges
