"""Writing Shapes to disk in any of the layouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from seg.datasets.converters.base import SHAPES_SPACE, ShapesWriter
from seg.datasets.label_space import LabelSpace
from seg.datasets.shapes import ShapesWorld
from seg.datasets.shapes_dataset import SPLITS
from seg.utils.checks import UserError
from seg.utils.writable import check_writable_folder


def write_shapes(
    writer: type[ShapesWriter],
    out: Path,
    num: int,
    *,
    num_frames: int = 8,
    seed: int = 0,
    size: tuple[int, int] = (128, 160),
    label_space: LabelSpace = SHAPES_SPACE,
) -> Iterator[str]:
    """Write samples of both splits; they are those of ``ShapesDataset`` with the same settings.

    Args:
        writer: Class that knows the layout.
        out: Folder of the data set, new or empty.
        num: Samples of each split.
        num_frames: Frames of each sample, where the layout has videos.
        seed: Which worlds.
        size: Height and width.
        label_space: Classes that the files name; the first ones stand for those of Shapes.

    Returns:
        The split of each sample after it was written; the data set is complete at the end.

    Raises:
        UserError: If the folder holds something or cannot be written to, a number is too small,
            or the layout does not name its classes and some are given.
    """
    if num < 1:
        raise UserError(f'num: expected 1 sample or more, got {num}')
    if num_frames < 1:
        raise UserError(f'num_frames: expected 1 frame or more, got {num_frames}')
    if label_space is not SHAPES_SPACE and not writer.names_classes:
        raise UserError(
            f'label_space {label_space.name!r}: expected a layout whose files name their classes, '
            f'got {writer.__name__}, which has none or fixed ones; leave it out'
        )
    check_writable_folder(out, 'out')
    if out.is_dir() and any(out.iterdir()):
        raise UserError(
            f'out {out}: expected a new or an empty folder, got one with files, of other data or '
            'of a conversion that was stopped; choose another, or remove it, so that old and new '
            'samples are not mixed'
        )
    frames = num_frames if writer.is_video else 1
    worlds = [ShapesWorld(seed=2 * seed + number, size=size) for number in range(len(SPLITS))]
    return _write(writer(out, label_space), worlds, num, frames)


def _write(writer: ShapesWriter, worlds: list[ShapesWorld], num: int, frames: int) -> Iterator[str]:
    for split, world in zip(SPLITS, worlds, strict=True):
        for index in range(num):
            writer.add(split, index, world.clip(index, frames))
            yield split
        writer.finish(split)
