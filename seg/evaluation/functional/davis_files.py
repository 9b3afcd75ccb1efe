"""Results of DAVIS on disk: a folder per sequence with a palette PNG file per frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seg.datasets.imaging import read_id_pixels
from seg.datasets.split_files import read_split
from seg.evaluation.functional.davis import (
    MAX_PROPOSALS,
    VOID,
    ObjectScores,
    score_objects,
    score_proposals,
)
from seg.utils.checks import UserError, unknown_name_message

PROTOCOLS = {'semi-supervised': 'Annotations', 'unsupervised': 'Annotations_unsupervised'}
"""How results can be scored, and the folder with the annotations for it."""


@dataclass(frozen=True)
class DavisSequence:
    """One sequence with its results, not read yet.

    Attributes:
        name: Of the sequence.
        protocol: One of ``PROTOCOLS``.
        gt_files: Annotations of the frames that are scored.
        pred_files: Results for them.
        object_ids: The objects that are scored: 1 up to the largest id of the first annotation.
    """

    name: str
    protocol: str
    gt_files: Sequence[Path]
    pred_files: Sequence[Path]
    object_ids: tuple[int, ...]

    def scores(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Name of each object (``sequence_id``) to its J and F per frame, each (T,).

        Raises:
            UserError: If a file is broken or of another size, or holds an id that is no object.
        """
        score = score_objects if self.protocol == 'semi-supervised' else score_proposals
        scores: ObjectScores = score(self.frames(), self.object_ids)
        return {
            f'{self.name}_{object_id}': (scores.j[row], scores.f[row])
            for row, object_id in enumerate(self.object_ids)
        }

    def frames(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """True and predicted ids of the frames that are scored, each (H, W), uint8.

        Raises:
            UserError: If a file is broken or of another size, or holds an id that is no object.
        """
        for gt_file, path in zip(self.gt_files, self.pred_files, strict=True):
            truth, prediction = read_ids(gt_file), read_ids(path)
            if prediction.shape != truth.shape:
                raise UserError(
                    f'{path}: expected height x width {truth.shape[0]} x {truth.shape[1]} as in '
                    f'{gt_file}, got {prediction.shape[0]} x {prediction.shape[1]}; write results '
                    'at the resolution of the annotations'
                )
            self._check_ids(truth, prediction, path)
            yield truth, prediction

    def _check_ids(self, truth: np.ndarray, prediction: np.ndarray, path: Path) -> None:
        semi = self.protocol == 'semi-supervised'
        known = len(self.object_ids) if semi else MAX_PROPOSALS
        if prediction.max(initial=0) <= known:
            return
        unknown = set(np.unique(prediction).tolist()) - set(range(known + 1))
        if semi:  # objects that appear later may be predicted, and are not scored
            unknown -= set(np.unique(truth).tolist())
        if unknown:
            raise UserError(
                f'{path}: expected ids of objects from 0 to {known}, got {sorted(unknown)}; write '
                'the ids of the annotations, and 0 elsewhere'
            )


def pair_davis_files(
    root: Path,
    pred_dir: Path,
    split: str,
    *,
    protocol: str = 'semi-supervised',
    year: str = '2017',
    resolution: str = '480p',
    skip_ends: bool = True,
) -> list[DavisSequence]:
    """Find the results of every sequence and frame of a split.

    Args:
        root: Folder with ``ImageSets`` and ``Annotations`` (``Annotations_unsupervised``).
        pred_dir: Folder with a folder of PNG files per sequence, named as the annotations.
        split: List in ``ImageSets/YEAR``.
        protocol: One of ``PROTOCOLS``.
        year: Folder of lists.
        resolution: Folder of annotations.
        skip_ends: Whether the semi-supervised protocol leaves the first and the last annotated
            frame out, as the official evaluation does; the other protocol scores all.

    Raises:
        FileNotFoundError: If a folder, list, sequence or frame is missing.
        UserError: If the protocol is unknown, or a sequence has too few annotations or no object.
    """
    if protocol not in PROTOCOLS:
        raise UserError(unknown_name_message('protocol', protocol, PROTOCOLS))
    names = read_split(root / 'ImageSets' / year / f'{split}.txt')
    annotations = root / PROTOCOLS[protocol] / resolution
    for folder, what in ((annotations, 'annotations'), (pred_dir, 'results')):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder}: expected a folder of {what}, got none')
    if missing := [name for name in names if not (pred_dir / name).is_dir()]:
        raise FileNotFoundError(
            f'{pred_dir}: expected a folder for each of the {len(names)} sequences of {split}, got '
            f'none for {", ".join(missing[:5])} ({len(missing)} in all); predict the whole split'
        )
    ends = skip_ends and protocol == 'semi-supervised'
    return [_pair(annotations / name, pred_dir / name, protocol, ends) for name in names]


def _pair(annotations: Path, results: Path, protocol: str, skip_ends: bool) -> DavisSequence:
    gt_files = sorted(annotations.glob('*.png'))
    scored = gt_files[1:-1] if skip_ends else gt_files
    if not scored:
        fewest = 3 if skip_ends else 1
        raise UserError(
            f'{annotations}: expected PNG files of at least {fewest} annotated frames, got '
            f'{len(gt_files)}; unpack the annotations again, or score all frames'
        )
    pred_files = [results / path.name for path in scored]
    if missing := [path.name for path in pred_files if not path.is_file()]:
        raise FileNotFoundError(
            f'{results}: expected a PNG file for each of the {len(scored)} frames that are scored, '
            f'got none for {", ".join(missing[:5])} ({len(missing)} in all); write every frame'
        )
    first = read_ids(gt_files[0])
    num_objects = int(np.where(first == VOID, 0, first).max(initial=0))
    if not num_objects:
        raise UserError(
            f'{gt_files[0]}: expected at least one object in the first annotation, got none'
        )
    return DavisSequence(
        annotations.name, protocol, scored, pred_files, tuple(range(1, num_objects + 1))
    )


def read_ids(path: Path) -> np.ndarray:
    """Object ids of one frame, (H, W), uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, or no map of ids up to 255.
    """
    ids = read_id_pixels(path)
    if ids.dtype.itemsize > 1 and not 0 <= ids.min(initial=0) <= ids.max(initial=0) <= VOID:
        raise UserError(f'{path}: expected ids from 0 to {VOID}, got more; use 8 bits')
    return ids.astype(np.uint8, copy=False)
