"""A check of YouTube-VIS that goes on after a fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg.datasets.checks.annotation_file import AnnotationFile, Row, check_picture
from seg.datasets.checks.coco_checks import mask_faults
from seg.datasets.checks.fault import Fault, FaultKind
from seg.datasets.coco_files import CROWD
from seg.datasets.youtube_vis import ANNOTATION_FIELDS, VIDEO_FIELDS


class YouTubeVISCheck:
    """The annotation file and frames of a data set in the format of YouTube-VIS.

    Args:
        ann_file: The JSON file.
        img_dir: Folder of the frames' folders.
    """

    def __init__(self, ann_file: str | Path, img_dir: str | Path) -> None:
        self.img_dir = Path(img_dir)
        self.file = AnnotationFile(ann_file, 'videos')
        categories = self.file.categories()
        videos = self.file.images('videos', 'video', VIDEO_FIELDS)
        self.videos = list(videos.values())
        rows = self.file.rows('annotations', 'annotation', ANNOTATION_FIELDS, CROWD)
        self.file.unique(rows, 'id', 'annotations')
        self.annotations: dict[Any, list[Row]] = {video_id: [] for video_id in videos}
        for row in rows:
            where = f'annotation {row["id"]}'
            self.file.known_category(row, categories, where)
            if self.file.known_image(row, videos, where, 'video_id'):
                self._check_codes(row, len(videos[row['video_id']]['file_names']))

    def _check_codes(self, row: Row, num_frames: int) -> None:
        """Keep an annotation that has a code for every frame, and one that is not null."""
        codes, where = row['segmentations'], f'annotation {row["id"]}'
        if len(codes) != num_frames:
            message = (
                f'expected segmentations of {where} to have an entry for each of the {num_frames} '
                f'frames, got {len(codes)}; put null where it is not seen'
            )
            self.file.note(FaultKind.BAD_ANNOTATION, message)
        elif not any(codes):
            message = f'expected a mask of {where} in some frame, got none; remove it'
            self.file.note(FaultKind.EMPTY_MASK, message)
        else:
            self.annotations[row['video_id']].append(row)

    def faults(self) -> Sequence[Fault]:
        """Faults of the annotation file."""
        return self.file.faults

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def part_faults(self, part: int) -> Sequence[Fault]:
        """Faults of one video's frames and masks."""
        video = self.videos[part]
        size = video['height'], video['width']
        found: list[Fault] = []
        for name in video['file_names']:
            found += check_picture(self.img_dir / name, size, self.file.path)[1]
        for row in self.annotations[video['id']]:
            for frame, code in enumerate(row['segmentations']):
                if code is not None:
                    where = f'annotation {row["id"]}, frame {frame}'
                    found += mask_faults(code, size, self.file.path, where)
        return found
