"""YouTube-VIS: one JSON file of run-length codes per object and frame, and folders of frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.clip_dataset import Pipeline
from seg.datasets.coco_files import (
    CROWD,
    CocoCategories,
    check_image_size,
    digest_annotations,
    has_any,
    read_coco_json,
)
from seg.datasets.coco_instance import decode_segmentation
from seg.datasets.index import Column, Index, cached_index
from seg.datasets.json_fields import (
    IDENTITY,
    INTEGER,
    LIST,
    SIDE,
    TEXTS,
    Fields,
    entries_by_id,
)
from seg.datasets.samples import clip_sample, segments
from seg.datasets.video_dataset import VideoDataset, read_frames
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError

KIND, VERSION = 'youtube_vis', 2
"""Names the index of this format, and the version of its columns."""

VIDEO_FIELDS: Fields = {'id': IDENTITY, 'file_names': TEXTS, 'height': SIDE, 'width': SIDE}
ANNOTATION_FIELDS: Fields = {
    'id': INTEGER,
    'video_id': IDENTITY,
    'category_id': INTEGER,
    'segmentations': LIST,
}


def load_youtube_vis_index(ann_file: Path) -> Index:
    """The index of an annotation file, from the cache; two data sets over one file share it.

    Video ``i`` has the frames ``offsets[i]:offsets[i + 1]`` and the objects
    ``objects[i]:objects[i + 1]``. Columns per video: ``video_ids`` (JSON texts), ``sizes`` (H, W);
    per frame: ``frames`` (file names), ``usable``; per object: ``object_ids`` (the file's ids of
    annotations), ``category_ids``, ``is_crowd``, ``codes`` (where its run-length codes begin); per
    object and frame: ``segmentations`` (JSON texts, empty where it is not seen).

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If a field is missing or malformed.
    """
    digest = digest_annotations(ann_file)
    return cached_index(KIND, VERSION, ann_file, digest, lambda: _build_index(ann_file))


def _build_index(ann_file: Path) -> Index:
    content = read_coco_json(ann_file, images='videos')
    categories = set(CocoCategories.all_things(content['categories'], ann_file).ids)
    videos = entries_by_id(content['videos'], VIDEO_FIELDS, ann_file, 'video', 'videos')
    lengths = {video_id: len(video['file_names']) for video_id, video in videos.items()}
    if empty := [video_id for video_id, length in lengths.items() if not length]:
        raise UserError(
            f'{ann_file}: expected frames of video {empty[0]}, got no file_names; mend the field '
            "'videos'"
        )
    of_video: dict[Any, list[Mapping[str, Any]]] = {video_id: [] for video_id in videos}
    for annotation in entries_by_id(
        content['annotations'], ANNOTATION_FIELDS, ann_file, 'annotation', 'annotations', CROWD
    ).values():
        _check_annotation(annotation, lengths, categories, ann_file)
        of_video[annotation['video_id']].append(annotation)
    rows = [annotation for annotations in of_video.values() for annotation in annotations]
    columns: dict[str, Column] = {
        'video_ids': [json.dumps(video_id) for video_id in of_video],
        'sizes': np.array(
            [(video['height'], video['width']) for video in content['videos']], dtype=np.int32
        ).reshape(-1, 2),
        'frames': [name for video in content['videos'] for name in video['file_names']],
        'usable': np.ones(sum(lengths.values()), dtype=bool),
        'offsets': np.cumsum([0, *lengths.values()], dtype=np.int64),
        'objects': np.cumsum([0, *map(len, of_video.values())], dtype=np.int64),
        'object_ids': np.array([row['id'] for row in rows], dtype=np.int64),
        'category_ids': np.array([row['category_id'] for row in rows], dtype=np.int64),
        'is_crowd': np.array([bool(row.get('iscrowd', 0)) for row in rows], dtype=bool),
        'codes': np.cumsum([0, *(len(row['segmentations']) for row in rows)], dtype=np.int64),
        'segmentations': [
            '' if code is None else json.dumps(code)
            for row in rows
            for code in row['segmentations']
        ],
    }
    return Index(columns, {'categories': content['categories']})


def _check_annotation(
    annotation: Mapping[str, Any], lengths: Mapping[Any, int], categories: set[int], source: Path
) -> None:
    where = f'annotation {annotation["id"]}'
    video_id, category, codes = (
        annotation[key] for key in ('video_id', 'category_id', 'segmentations')
    )
    if video_id not in lengths:
        raise UserError(
            f"{source}: expected video_id of {where} to be one of the ids in 'videos', got "
            f'{video_id}; add the video or remove the annotation'
        )
    if category not in categories:
        raise UserError(
            f"{source}: expected category_id of {where} to be one of the ids in 'categories', got "
            f'{category}; add the category or mend the annotation'
        )
    if len(codes) != lengths[video_id]:
        raise UserError(
            f'{source}: expected segmentations of {where} to have an entry for each of the '
            f'{lengths[video_id]} frames, got {len(codes)}; put null where it is not seen'
        )


@DATASETS.register_module()
class YouTubeVISDataset(VideoDataset):
    """Videos with the masks and classes of the objects in them, in the format of YouTube-VIS.

    There are things only. Object ids are the annotations' ids. Files without annotations, such as
    the published ``valid.json``, give videos without objects in test mode.

    Args:
        ann_file: JSON file with ``videos``, ``annotations`` and ``categories``.
        img_dir: Folder of the frames' folders (``JPEGImages``).
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        classes: Names to keep, in this order; objects of others are left out; all by default.
        filter_empty: Leave out videos without an object that is no crowd (not in test mode).
        num_frames: See :class:`VideoDataset`.
        frame_interval: See :class:`VideoDataset`.
        test_mode: Whether samples are whole videos.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If a field is missing or malformed, or no video is left.
    """

    def __init__(
        self,
        ann_file: str | Path,
        img_dir: str | Path,
        task: Task | str,
        pipeline: Pipeline,
        *,
        classes: Sequence[str] | None = None,
        filter_empty: bool = True,
        num_frames: int = 2,
        frame_interval: tuple[int, int] = (2, 2),
        test_mode: bool = False,
        dataset_name: str = 'youtube_vis',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        self.ann_file, self.img_dir = Path(ann_file), Path(img_dir)
        index = load_youtube_vis_index(self.ann_file)
        categories = CocoCategories.all_things(index.meta['categories'], self.ann_file, classes)
        self.labels = categories.labels
        keep = None
        if filter_empty and not test_mode:
            counts = ~index['is_crowd'] & np.isin(index['category_ids'], list(self.labels))
            keep = has_any(counts, index['objects'])
        super().__init__(
            task,
            pipeline,
            {**categories.metainfo, 'dataset_name': dataset_name},
            index,
            self.ann_file,
            keep=keep,
            num_frames=num_frames,
            frame_interval=frame_interval,
            test_mode=test_mode,
            seed=seed,
            max_bad_samples=max_bad_samples,
        )

    def load_frames(self, index: int, frames: Sequence[int]) -> dict[str, Any]:
        """Read some frames of a video; see :meth:`VideoDataset.load_frames`."""
        row = int(self.rows[index])
        size = tuple(self.index['sizes'][row].tolist())
        names = self.index.texts('frames')
        paths = [self.img_dir / names[self.frame_rows(index)[frame]] for frame in frames]
        pictures = read_frames(paths)
        check_image_size(paths[0], pictures[0].shape[:2], size, self.ann_file)
        masks, rows = [], []
        for place, mask in self._seen_objects(row, frames, size):
            masks.append(mask)
            rows.append(place)
        known = segments(
            np.stack(masks) if masks else np.zeros((0, len(frames), *size), dtype=bool),
            [self.labels[int(self.index['category_ids'][place])] for place in rows],
            self.index['object_ids'][rows],
            self.index['is_crowd'][rows],
        )
        video_id = json.loads(self.index.texts('video_ids')[row])
        return clip_sample(pictures, known, video_id, frames, paths, self.metainfo['dataset_name'])

    def _seen_objects(
        self, row: int, frames: Sequence[int], size: tuple[int, ...]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Objects that some of the frames show: row in the index, masks (T, H, W)."""
        codes = self.index.texts('segmentations')
        for place in range(*self.index['objects'][row : row + 2].tolist()):
            if int(self.index['category_ids'][place]) not in self.labels:
                continue
            mask = np.zeros((len(frames), *size), dtype=bool)
            for t, frame in enumerate(frames):
                code = codes.raw(int(self.index['codes'][place]) + frame)
                if code:
                    name = self.index['object_ids'][place]
                    where = f'{self.ann_file}: annotation {name}, frame {frame}'
                    mask[t] = decode_segmentation(json.loads(code), size, where)
            if mask.any():
                yield place, mask
