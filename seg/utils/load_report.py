"""What fitted and what did not when weights were loaded into a model."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

LEAST_SHARE = 0.1
"""Below this share of values that fit, a file and a model have nothing to do with each other."""

_MAX_LISTED = 4


@dataclass(frozen=True)
class LoadReport:
    """What did not fit when weights were loaded.

    Attributes:
        missing: Names in the model that the file does not have.
        unexpected: Names in the file that the model does not have.
        mismatched: Names whose shapes differ, each with (shape in model, shape in file).
        loaded: Names of the tensors that were loaded.
        share: Values that were loaded, relative to those of the file or of the model, whichever
            has fewer; in [0, 1].
    """

    missing: list[str]
    unexpected: list[str]
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    loaded: list[str]
    share: float

    @property
    def num_loaded(self) -> int:
        """How many tensors were loaded."""
        return len(self.loaded)

    @property
    def complete(self) -> bool:
        """Whether everything fitted."""
        return not (self.missing or self.unexpected or self.mismatched)

    def summary(self) -> str:
        """One line: how many of each kind, with the first few names or parts of the model."""
        used = [*self.loaded, *self.mismatched]
        shapes = [f'{k} (model {m}, file {f})' for k, (m, f) in self.mismatched.items()]
        parts = [
            _counted(len(self.missing), 'missing', _by_part(self.missing, used)),
            _counted(len(self.unexpected), 'unexpected', _by_part(self.unexpected, used)),
            _counted(len(shapes), 'of another shape', shapes),
        ]
        return f'{self.num_loaded} tensors fit; ' + '; '.join(part for part in parts if part)

    def names_in_full(self) -> str:
        """All names that did not fit, on one line."""
        kinds = (
            ('missing', self.missing),
            ('unexpected', self.unexpected),
            ('of another shape', list(self.mismatched)),
        )
        return '; '.join(f'{kind}: {", ".join(names)}' for kind, names in kinds if names)


def compare(
    own: Mapping[str, tuple[int, ...]],
    state: Mapping[str, Tensor],
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
    allowed_missing: Collection[str],
) -> LoadReport:
    """What of a file fits a model.

    Args:
        own: Names in the model and their shapes.
        state: The tensors of the file.
        mismatched: Names whose shapes differ, as in the report.
        allowed_missing: Regular expressions of names that the file need not have.
    """
    optional = [re.compile(pattern) for pattern in (r'num_batches_tracked$', *allowed_missing)]
    missing = [key for key in own if key not in state]
    loaded = [key for key in state if key in own and key not in mismatched]
    sizes = {key: math.prod(shape) for key, shape in own.items()}
    fewest = min(sum(sizes.values()), sum(value.numel() for value in state.values()))
    return LoadReport(
        missing=[key for key in missing if not any(rule.search(key) for rule in optional)],
        unexpected=[key for key in state if key not in own],
        mismatched=mismatched,
        loaded=loaded,
        share=sum(sizes[key] for key in loaded) / max(fewest, 1),
    )


def listed(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    more = f', and {len(names) - _MAX_LISTED} more' if len(names) > _MAX_LISTED else ''
    return ', '.join(names[:_MAX_LISTED]) + more


def _counted(count: int, what: str, names: Sequence[str]) -> str:
    return f'{count} {what} ({listed(names)})' if count else ''


def _by_part(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Names, those of a whole part of the model as one: ``'head.router.* (3)'``.

    Args:
        names: Dotted names.
        others: Names that must not be meant; a part that has one is taken apart.
    """
    mixed = {'', *(name[:i] for name in others for i, sign in enumerate(name) if sign == '.')}
    parts: dict[str, list[str]] = {}
    for name in names:
        words = name.split('.')
        above = ('.'.join(words[:i]) for i in range(1, len(words) + 1))
        parts.setdefault(next((part for part in above if part not in mixed), name), []).append(name)
    return [
        found[0] if len(found) == 1 else f'{part}.* ({len(found)})' for part, found in parts.items()
    ]
