"""Weights of one model as the start of another: what was inherited, and whether it is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from seg.utils.checks import UserError


@dataclass(frozen=True)
class PartCoverage:
    """How much of one part of a model was inherited.

    Attributes:
        loaded: Values that were taken over.
        total: Values of the part.
    """

    loaded: int
    total: int

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.loaded / max(self.total, 1)


@dataclass(frozen=True)
class Coverage:
    """How much of a model was inherited.

    Attributes:
        parts: By name of the model's direct children.
        counted: Parts that say whether the model as a whole counts as loaded.
    """

    parts: dict[str, PartCoverage]
    counted: tuple[str, ...]

    @property
    def total(self) -> PartCoverage:
        """The counted parts together."""
        counted = [self.parts[name] for name in self.counted]
        return PartCoverage(
            sum(part.loaded for part in counted), sum(part.total for part in counted)
        )

    def table(self) -> str:
        """One line per part and one for the counted parts together."""
        lines = [_line(name, part) for name, part in self.parts.items()]
        without = [name for name in self.parts if name not in self.counted]
        name = f'all but {", ".join(without)}' if without else 'all'
        return '\n'.join([*lines, _line(name, self.total)])


def inherit_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    least_share: float = 0.5,
    uncounted: Collection[str] = (),
    name: str = 'weights',
) -> Coverage:
    """Take over the tensors whose names and shapes agree.

    Args:
        model: Receives the weights.
        state: Weights by name.
        least_share: Share of the counted values that has to be inherited.
        uncounted: Parts that are inherited but do not count, because they would hide how little of
            the rest fits.
        name: What to call the weights in errors.

    Raises:
        UserError: If less than ``least_share`` fits; the model is as it was.
    """
    own = {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    parts: dict[str, PartCoverage] = {}
    for key, value in own.items():
        part = key.split('.')[0]
        before = parts.get(part, PartCoverage(0, 0))
        loaded = value.numel() if key in fitting else 0
        parts[part] = PartCoverage(before.loaded + loaded, before.total + value.numel())
    coverage = Coverage(parts, tuple(part for part in parts if part not in uncounted))
    if coverage.total.share < least_share:
        raise UserError(
            f'cannot start {type(model).__name__} from {name}: {coverage.total.share:.1%} of its '
            f'values fit ({coverage.total.loaded:,} of {coverage.total.total:,}'
            f'{", not counting " + ", ".join(sorted(uncounted)) if uncounted else ""}), expected '
            f'{least_share:.0%}; that is a model from scratch: distil it, keep the width, or lower '
            'least_share'
        )
    model.load_state_dict(fitting, strict=False)
    return coverage


def _line(name: str, part: PartCoverage) -> str:
    return f'{name}: {part.share:.1%} ({part.loaded:,} of {part.total:,})'
