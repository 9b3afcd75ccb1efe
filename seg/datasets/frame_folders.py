"""Videos as folders of frames beside folders of maps of ids, as DAVIS and VIPSeg have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seg.datasets.imaging import read_id_map
from seg.datasets.index import Column, Index, cached_index, digest_names, list_files, stem_of
from seg.datasets.split_files import read_split
from seg.utils.checks import UserError

_VERSION = 1


def index_frame_folders(
    kind: str, list_file: Path, images: Path, maps: Path, *, unannotated: bool = False
) -> Index:
    """The index of the videos in a list, through the cache.

    Columns per video: ``videos``, ``offsets``; per frame: ``frames`` (file names of the images),
    ``usable`` (whether there is a map).

    Args:
        kind: Names the format.
        list_file: Text file of the videos' names.
        images: Folder with a folder of frames (``*.jpg``) per video.
        maps: Folder with a folder of maps (``*.png``, named as the frames) per video.
        unannotated: Whether a video may have no folder of maps.

    Raises:
        FileNotFoundError: If a folder or the list is missing.
        UserError: If a video has no frame, or a map without a frame.
    """
    videos = read_split(list_file)
    frames = [list_files(images / video, ('.jpg', '.jpeg')) for video in videos]
    known = [
        [] if unannotated and not (maps / video).exists() else list_files(maps / video, ('.png',))
        for video in videos
    ]

    def build() -> Index:
        usable: list[bool] = []
        for video, names, others in zip(videos, frames, known, strict=True):
            _check_video(images / video, maps / video, names, others, list_file)
            stems = {stem_of(name) for name in others}
            usable += [stem_of(name) in stems for name in names]
        columns: dict[str, Column] = {
            'videos': videos,
            'frames': [name for names in frames for name in names],
            'usable': np.array(usable, dtype=bool),
            'offsets': np.cumsum([0, *map(len, frames)], dtype=np.int64),
        }
        return Index(columns, {})

    digest = digest_names(videos, *frames, *known)
    return cached_index(f'{kind}-{images.name}', _VERSION, list_file, digest, build)


def _check_video(
    images: Path, maps: Path, names: list[str], others: list[str], list_file: Path
) -> None:
    if not names:
        raise UserError(
            f'{images}: expected frames (*.jpg) of the video {images.name!r} in {list_file}, got '
            'none; unpack the archive again'
        )
    if strange := {stem_of(name) for name in others} - {stem_of(name) for name in names}:
        raise UserError(
            f'{maps / min(strange)}.png: expected a frame of that name in {images}, got none; '
            'frames and annotations belong to different sets'
        )


def read_map_of(path: Path, size: Sequence[int]) -> np.ndarray:
    """Read the map of ids of a frame, (H, W), int32.

    Args:
        path: The map.
        size: (H, W) of the frame.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, a picture in colours, or of another size.
    """
    ids = read_id_map(path)
    check_map_size(path, ids.shape, size)
    return ids


def check_map_size(path: Path, got: Sequence[int], size: Sequence[int]) -> None:
    """Compare the size of a map with that of its image, both (H, W).

    Raises:
        UserError: If they differ.
    """
    if tuple(got) != tuple(size):
        raise UserError(
            f'{path}: expected height x width {size[0]} x {size[1]} as its image, got '
            f'{got[0]} x {got[1]}; use images and annotations of one resolution'
        )
