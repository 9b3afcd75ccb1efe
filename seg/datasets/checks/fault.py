"""What can be wrong with the files of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol


class FaultKind(str, Enum):
    """Sorts of faults, as reports name them."""

    MISSING_FILE = 'missing_file'
    BROKEN_FILE = 'broken_file'
    SIZE_MISMATCH = 'size_mismatch'
    UNLISTED_ID = 'unlisted_id'
    EMPTY_MASK = 'empty_mask'
    DUPLICATE_ID = 'duplicate_id'
    WRONG_CATEGORY = 'wrong_category'
    BAD_ANNOTATION = 'bad_annotation'


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: Sort of fault.
        file: The file to mend.
        message: What was expected, what is there instead, and the fix.
    """

    kind: FaultKind
    file: str
    message: str

    def __str__(self) -> str:
        return f'{self.kind.value}: {self.file}: {self.message}'

    def as_dict(self) -> dict[str, str]:
        """The fields as texts."""
        return {**asdict(self), 'kind': self.kind.value}

    @classmethod
    def of_error(cls, error: Exception, file: str | Path = '') -> Fault:
        """The fault that a reader ran into.

        Args:
            error: Its text begins with the file and a colon, as those of all readers do.
            file: What to name where the text does not.
        """
        text = ' '.join(str(error).split())
        named, separator, message = text.partition(': expected')
        if not separator:
            named, message = str(file), text
        else:
            message = f'expected{message}'
        return cls(_kind_of(error, message), named, message)


_KIND_OF_WORDS = (
    ('height x width', FaultKind.SIZE_MISMATCH),
    ('at one size', FaultKind.SIZE_MISMATCH),
    ('broken', FaultKind.BROKEN_FILE),
    ('cut short', FaultKind.BROKEN_FILE),
    ('0 bytes', FaultKind.BROKEN_FILE),
    ('cannot be parsed', FaultKind.BROKEN_FILE),
    ('category', FaultKind.WRONG_CATEGORY),
    ('more than once', FaultKind.DUPLICATE_ID),
)


def _kind_of(error: Exception, message: str) -> FaultKind:
    """Sort of fault, told from the wording that the readers share."""
    if isinstance(error, FileNotFoundError):
        return FaultKind.MISSING_FILE
    found = (kind for words, kind in _KIND_OF_WORDS if words in message)
    return next(found, FaultKind.BAD_ANNOTATION)


class DatasetCheck(Protocol):
    """The files of one data set, looked at part by part and in any order."""

    def faults(self) -> Sequence[Fault]:
        """What is wrong with the data set as a whole, such as its annotation file."""

    def __len__(self) -> int:
        """Number of parts, images or videos, that can be looked at on their own."""

    def part_faults(self, part: int) -> Sequence[Fault]:
        """Everything that is wrong with the files of one part."""
