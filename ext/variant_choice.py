"""Sizes of a model by the name of a published one, or one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from seg.utils.checks import UserError, unknown_name_message

Variant = TypeVar('Variant')


def choose_variant(
    family: str, kind: type[Variant], known: Mapping[str, Variant], choice: str | Mapping[str, Any]
) -> Variant:
    """The variant of a name, or one of other sizes, whose fit is left to be checked.

    Args:
        family: What the models are called, such as ``'SAM'``.
        kind: Dataclass of the sizes.
        known: Variants by name.
        choice: A name, or the fields of ``kind``.

    Raises:
        UserError: If there is no such name or size, or a size is missing.
    """
    if isinstance(choice, str):
        if choice not in known:
            raise UserError(unknown_name_message(f'{family} variant', choice, known))
        return known[choice]
    if not isinstance(choice, Mapping):
        raise UserError(
            f'{family} variant: expected a name ({", ".join(known)}) or a dict of sizes, got '
            f'{choice!r}'
        )
    sizes = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(choice) - set(sizes))
    if unknown:
        raise UserError(unknown_name_message(f'size of {family} variants', unknown[0], sizes))
    missing = [n for n, field in sizes.items() if field.default is MISSING and n not in choice]
    if missing:
        raise UserError(
            f'{family} variant: expected all of its sizes, got none for {", ".join(missing)}'
        )
    return kind(**choice)
