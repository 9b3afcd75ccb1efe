"""VIPSeg: folders of frames, PNG files of panoptic values, lists of videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seg.datasets.clip_dataset import Pipeline
from seg.datasets.frame_folders import index_frame_folders, read_map_of
from seg.datasets.metainfo import VIPSEG
from seg.datasets.samples import clip_sample, masks_of_ids, segments
from seg.datasets.video_dataset import VideoDataset, read_frames
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError

VOID_VALUES = (0, 200)
"""Values of no class; 200 is a known error of the published files."""

LARGEST_STUFF = 128
INSTANCES_PER_CLASS = 100


class PanopticValue(NamedTuple):
    """What a value in a PNG file stands for.

    Attributes:
        label: Contiguous class.
        is_crowd: Whether it is a thing without a number, so perhaps several.
    """

    label: int
    is_crowd: bool


def read_panoptic_value(value: int) -> PanopticValue | None:
    """Tell what a value stands for: a stuff class, or 100 times a thing class plus its number.

    Args:
        value: Neither 0 nor 200.

    Returns:
        ``None`` if there is no such class.
    """
    is_instance = value > LARGEST_STUFF
    category = value // INSTANCES_PER_CLASS if is_instance else value
    label = _LABELS.get(category)
    if label is None or (is_instance and label >= VIPSEG.num_things):
        return None
    return PanopticValue(label, is_crowd=not is_instance and label < VIPSEG.num_things)


_LABELS = {info.category_id: label for label, info in enumerate(VIPSEG.classes)}


@DATASETS.register_module()
class VIPSegDataset(VideoDataset):
    """Videos with every pixel of a frame assigned to a thing, a stuff region or void.

    Object ids are the values in the PNG files. A thing without a number is a crowd region. Videos
    of the test split, whose annotations are not public, have no segments; the metainfo
    ``annotated_frames`` lists the frames that have (places within the clip).

    Args:
        root: Folder with ``images``, ``panomasks`` and the lists ``*.txt``.
        split: ``'train'``, ``'val'`` or ``'test'``.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
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
        num_frames: int = 2,
        frame_interval: tuple[int, int] = (2, 2),
        test_mode: bool = False,
        dataset_name: str = 'vipseg',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        root = Path(root)
        self.img_dir, self.mask_dir = root / 'images', root / 'panomasks'
        list_file = root / f'{split}.txt'
        index = index_frame_folders(
            'vipseg', list_file, self.img_dir, self.mask_dir, unannotated=split == 'test'
        )
        super().__init__(
            task,
            pipeline,
            {**VIPSEG.metainfo(), 'dataset_name': dataset_name},
            index,
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
        found: dict[int, PanopticValue] = {}
        for place in annotated:
            path = self.mask_dir / video / f'{Path(names[place]).stem}.png'
            maps[place] = read_map_of(path, maps.shape[1:])
            found.update(values_of_map(maps[place], path))
        values = sorted(found)
        known: dict[str, Any] = segments(
            masks_of_ids(maps, values),
            [found[value].label for value in values],
            values,
            [found[value].is_crowd for value in values],
        )
        known['annotated_frames'] = tuple(annotated)
        return clip_sample(pictures, known, video, frames, paths, self.metainfo['dataset_name'])


def values_of_map(id_map: np.ndarray, path: Path) -> dict[int, PanopticValue]:
    """What the values of a map stand for; those of void are left out."""
    found = {}
    for value in np.setdiff1d(id_map, VOID_VALUES).tolist():
        meaning = read_panoptic_value(value)
        if meaning is None:
            raise UserError(
                f'{path}: expected values of stuff (its class, up to {LARGEST_STUFF}) or of '
                f'things (100 x class + number), got {value}; unpack the archive again, and use '
                'panomasks as published'
            )
        found[value] = meaning
    return found
