"""Checks of images that have a file of masks each, in folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seg.datasets.checks.fault import Fault, FaultKind
from seg.datasets.checks.sa1b_checks import sa1b_faults
from seg.datasets.imaging import read_image
from seg.datasets.index import IMAGE_SUFFIXES, list_files
from seg.datasets.split_files import read_split
from seg.utils.checks import UserError


class FilePair(NamedTuple):
    """An image and its file of masks, either of which may be missing."""

    image: Path | None
    masks: Path | None


MapReader = Callable[[Path, tuple[int, int]], Any]
"""Reads a map of an image of size (H, W), and raises what is wrong with it."""


class FilePairsCheck:
    """Images and their files of masks.

    Args:
        pairs: The files.
        faults: What was wrong when they were listed.
        examine: What is wrong with the files of a pair that is complete.
    """

    def __init__(
        self,
        pairs: Sequence[FilePair],
        faults: Sequence[Fault],
        examine: Callable[[Path, Path], list[Fault]],
    ) -> None:
        self.pairs, self.examine = pairs, examine
        self._faults = list(faults)

    def faults(self) -> Sequence[Fault]:
        """What was wrong when the files were listed."""
        return self._faults

    def __len__(self) -> int:
        """Number of images and files of masks without one."""
        return len(self.pairs)

    def part_faults(self, part: int) -> Sequence[Fault]:
        """What is wrong with an image and its masks."""
        image, masks = self.pairs[part]
        if image is not None and masks is not None:
            return self.examine(image, masks)
        if image is None:
            message = 'expected an image of the same name, got none; add it or remove this file'
            return [Fault(FaultKind.MISSING_FILE, str(masks), message)]
        message = 'expected a file of masks for this image, got none; add it or remove the image'
        return [Fault(FaultKind.MISSING_FILE, str(image), message)]


class MapExaminer:
    """Compares an image with its map.

    Args:
        read_map: Reads the map.
    """

    def __init__(self, read_map: MapReader) -> None:
        self.read_map = read_map

    def __call__(self, image: Path, masks: Path) -> list[Fault]:
        """What is wrong with the two files."""
        found: list[Fault] = []
        size: tuple[int, int] | None = None
        try:
            height, width = read_image(image).shape[:2]
            size = height, width
        except (UserError, OSError) as error:
            found.append(Fault.of_error(error, image))
        try:
            self.read_map(masks, size if size is not None else read_image(masks).shape[:2])
        except (UserError, OSError) as error:
            found.append(Fault.of_error(error, masks))
        return found


def examine_sa1b(image: Path, masks: Path) -> list[Fault]:
    """What is wrong with an image and its annotation in the format of SA-1B."""
    return sa1b_faults(lambda: read_image(image), masks.read_bytes, str(image), str(masks))


def folder_check(
    images: Path, maps: Path, read_map: MapReader, endings: Sequence[str] = ('',)
) -> FilePairsCheck:
    """The check of a folder of images beside a folder of maps.

    Args:
        images: Folder of images.
        maps: Folder of maps (``*.png``).
        read_map: Reads a map.
        endings: What may follow the image's name in the map's name.
    """
    try:
        names, found = list_files(images, IMAGE_SUFFIXES), list_files(maps, ('.png',))
    except (UserError, OSError) as error:
        return FilePairsCheck([], [Fault.of_error(error)], MapExaminer(read_map))
    pairs = list(_pairs(images, names, maps, found, endings))
    return FilePairsCheck(pairs, [], MapExaminer(read_map))


def _pairs(
    images: Path, names: Iterable[str], maps: Path, found: Iterable[str], endings: Sequence[str]
) -> Iterator[FilePair]:
    rest = {name.rpartition('.')[0]: name for name in found}
    for name in names:
        stem = name.rpartition('.')[0]
        partner = next((rest.pop(stem + e) for e in endings if stem + e in rest), None)
        yield FilePair(images / name, None if partner is None else maps / partner)
    yield from (FilePair(None, maps / name) for name in rest.values())


def frame_folders_check(
    list_file: Path, images: Path, maps: Path, read_map: MapReader
) -> FilePairsCheck:
    """The check of folders of frames beside folders of maps, one of each per video of a list.

    Of a video with one map or none the other frames count as not annotated.
    """
    faults: list[Fault] = []
    pairs: list[FilePair] = []
    try:
        videos = read_split(list_file)
    except (UserError, OSError) as error:
        faults.append(Fault.of_error(error, list_file))
        videos = []
    for video in videos:
        try:
            names = list_files(images / video, ('.jpg', '.jpeg'))
            found = list_files(maps / video, ('.png',)) if (maps / video).exists() else []
        except (UserError, OSError) as error:
            faults.append(Fault.of_error(error))
            continue
        if not names:
            message = f'expected frames (*.jpg) of a video that {list_file} lists, got none'
            faults.append(Fault(FaultKind.MISSING_FILE, str(images / video), message))
        own = list(_pairs(images / video, names, maps / video, found, ('',)))
        if len(found) < 2:
            own = [pair for pair in own if pair.masks is not None]
        pairs += own
    return FilePairsCheck(pairs, faults, MapExaminer(read_map))


def sa1b_check(root: Path) -> FilePairsCheck:
    """The check of images beside JSON files, in folders of any depth."""
    try:
        listed = list_files(root, ('.jpg', '.json'), recursive=True)
    except (UserError, OSError) as error:
        return FilePairsCheck([], [Fault.of_error(error)], examine_sa1b)
    files = [name for name in listed if name.rpartition('/')[2].startswith('sa_')]
    names = [name for name in files if name.lower().endswith('.jpg')]
    found = [name for name in files if name.lower().endswith('.json')]
    return FilePairsCheck(list(_pairs(root, names, root, found, ('',))), [], examine_sa1b)
