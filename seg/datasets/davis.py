"""DAVIS 2017: folders of frames, palette PNG files of object ids, lists of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.clip_dataset import Pipeline
from seg.datasets.frame_folders import index_frame_folders, read_map_of
from seg.datasets.imaging import read_palette
from seg.datasets.samples import clip_sample, masks_of_ids, segments
from seg.datasets.video_dataset import VideoDataset, read_frames
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message
from seg.visualization.palettes import class_palette, voc_color

RESOLUTIONS = ('480p', 'Full-Resolution')
VOID = 255
"""Pixels of no object that are not scored either."""

_ID_OF_COLOR: dict[tuple[int, ...], int] = {voc_color(index): index for index in range(256)}


def read_davis_map(path: Path, size: Sequence[int]) -> np.ndarray:
    """Read the object ids of a frame, (H, W), int32.

    Args:
        path: The palette PNG file.
        size: (H, W) of the frame.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, of another size, or its palette was sorted anew, so that values
            and colours name different objects.
    """
    ids = read_map_of(path, size)
    palette = read_palette(path)
    if palette is None:
        return ids
    used = [value for value in np.unique(ids).tolist() if value not in (0, VOID)]
    colors = [tuple(palette[value : value + 1].ravel().tolist()) for value in used]
    named = [_ID_OF_COLOR.get(color) for color in colors]
    # Other palettes, such as grey ones, say nothing about ids.
    if None not in named and named != used:
        raise UserError(
            f'{path}: expected the palette of DAVIS, got values {used} in the colours of the '
            f'objects {named}; the palette was sorted anew when the file was saved, restore the '
            'published file'
        )
    return ids


@DATASETS.register_module()
class DavisDataset(VideoDataset):
    """Objects followed through videos, without classes: all labels are -1.

    Object ids are those of the palette PNG files; 255 is void and belongs to no object. A frame
    without an annotation, as most are in test-dev, has empty masks; the metainfo
    ``annotated_frames`` lists the others (places within the clip). Training clips are made of
    annotated frames.

    Args:
        root: Folder with ``JPEGImages``, ``Annotations`` and ``ImageSets``.
        split: ``'train'``, ``'val'``, ``'test-dev'`` or another list in ``ImageSets``.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        resolution: ``'480p'`` or ``'Full-Resolution'``.
        year: Folder of lists in ``ImageSets``.
        num_frames: See :class:`VideoDataset`.
        frame_interval: See :class:`VideoDataset`.
        test_mode: Whether samples are whole videos.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        FileNotFoundError: If a folder or list is missing.
        UserError: If frames and annotations do not fit together.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        task: Task | str,
        pipeline: Pipeline,
        *,
        resolution: str = '480p',
        year: str = '2017',
        num_frames: int = 2,
        frame_interval: tuple[int, int] = (2, 2),
        test_mode: bool = False,
        dataset_name: str = 'davis',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        if resolution not in RESOLUTIONS:
            raise UserError(unknown_name_message('resolution of DAVIS', resolution, RESOLUTIONS))
        root = Path(root)
        self.img_dir = root / 'JPEGImages' / resolution
        self.mask_dir = root / 'Annotations' / resolution
        list_file = root / 'ImageSets' / year / f'{split}.txt'
        metainfo = {
            'classes': ('object',),
            'num_things': 1,
            'palette': class_palette(1),
            'annotated_classes': (),
            'dataset_name': dataset_name,
        }
        super().__init__(
            task,
            pipeline,
            metainfo,
            index_frame_folders('davis', list_file, self.img_dir, self.mask_dir),
            list_file,
            num_frames=num_frames,
            frame_interval=frame_interval,
            test_mode=test_mode,
            seed=seed,
            max_bad_samples=max_bad_samples,
        )

    def load_frames(self, index: int, frames: Sequence[int]) -> dict[str, Any]:
        """Read some frames of a video; see :meth:`VideoDataset.load_frames`."""
        video = self.index.texts('videos')[int(self.rows[index])]
        rows = [self.frame_rows(index)[frame] for frame in frames]
        names = [self.index.texts('frames')[row] for row in rows]
        paths = [self.img_dir / video / name for name in names]
        pictures = read_frames(paths)
        maps = np.zeros((len(frames), *pictures[0].shape[:2]), dtype=np.int32)
        annotated = [place for place, row in enumerate(rows) if self.index['usable'][row]]
        for place in annotated:
            path = self.mask_dir / video / f'{Path(names[place]).stem}.png'
            maps[place] = read_davis_map(path, maps.shape[1:])
        ids = np.setdiff1d(maps, (0, VOID))
        known: dict[str, Any] = segments(masks_of_ids(maps, ids), [-1] * len(ids), ids)
        known['annotated_frames'] = tuple(annotated)
        return clip_sample(pictures, known, video, frames, paths, self.metainfo['dataset_name'])
