"""Which blocks of a deep image encoder a shallower one of the same width takes over."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from ext.sam3.variants import Sam3Variant
from seg.utils.checks import UserError

_BLOCK = re.compile(r'^vision_encoder\.backbone\.layers\.(\d+)\.')


def kept_blocks(depth: int, variant: Sam3Variant) -> tuple[int, ...]:
    """Blocks of an encoder of ``depth`` that become those of ``variant``.

    Blocks come in groups that end with a global one. Each group keeps that one and, of the others,
    as many as there is room for, evenly spaced from the first.

    Raises:
        UserError: If the groups of the two are of no equal number, or not all of one size.
    """
    groups = len(variant.global_blocks)
    size, old = variant.vit_depth // groups, depth // groups
    even = tuple(range(size - 1, variant.vit_depth, size))
    if variant.vit_depth > depth or depth % groups or variant.global_blocks != even:
        raise UserError(
            f'depth: expected {groups} equal groups of blocks, each with a global one at its end, '
            f'and no more than {depth} blocks, got {variant.vit_depth} with global blocks '
            f'{variant.global_blocks}'
        )
    within = np.linspace(0, old - 2, size - 1).round().astype(int).tolist() if size > 1 else []
    return tuple(group * old + block for group in range(groups) for block in (*within, old - 1))


def prune_blocks(state: Mapping[str, Tensor], variant: Sam3Variant) -> dict[str, Tensor]:
    """Weights under the names that a shallower image encoder has for them.

    Args:
        state: Weights of a whole model.
        variant: Sizes of the shallower one.
    """
    numbers = {int(found[1]) for name in state if (found := _BLOCK.match(name))}
    new = {old: i for i, old in enumerate(kept_blocks(len(numbers), variant))}
    pruned = {}
    for name, value in state.items():
        found = _BLOCK.match(name)
        if found is None:
            pruned[name] = value
        elif int(found[1]) in new:
            start, end = found.span(1)
            pruned[f'{name[:start]}{new[int(found[1])]}{name[end:]}'] = value
    return pruned
