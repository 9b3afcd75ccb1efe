"""The card of a published model: what it is, what it learned from, its figures, its licence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seg.utils.checks import UserError

_LICENCE = re.compile(r'[A-Za-z0-9][A-Za-z0-9.+-]*')
_MAX_CLASSES = 40


@dataclass(frozen=True)
class CardFacts:
    """What only the publisher knows.

    Attributes:
        name: Of the model.
        data: What it was trained on, a sentence or more.
        licence: SPDX identifier such as ``'Apache-2.0'``, or ``'other'`` with a text in ``data``.
        figures: Names of metrics to values, such as ``tools/test.py --out`` writes.
        figures_of: What the figures were measured on, and how.

    Raises:
        UserError: If something is empty, the licence is no identifier, or figures come without
            what they were measured on.
    """

    name: str
    data: str
    licence: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    figures_of: str = ''

    def __post_init__(self) -> None:
        for key in ('name', 'data'):
            value = getattr(self, key)
            if not value.strip() or (key == 'name' and '\n' in value):
                raise UserError(f'{key}: expected a text, got {value!r}; say it in words')
        if not _LICENCE.fullmatch(self.licence):
            raise UserError(
                f'licence: expected an SPDX identifier such as Apache-2.0, got {self.licence!r}'
            )
        if self.figures and not self.figures_of.strip():
            raise UserError(
                'figures_of: expected what the figures were measured on, and the command, got '
                'nothing; figures alone say little'
            )
        for name, value in self.figures.items():
            if value is not None and not isinstance(value, (int, float)):
                raise UserError(f'figures: expected a number for {name}, got {value!r}')


def card_text(model: Any, facts: CardFacts, weights: Path) -> str:
    """The card as Markdown, with what model hubs read at its top.

    Args:
        model: From :func:`~seg.apis.load_model`.
        facts: What the publisher says.
        weights: The file of weights.
    """
    return '\n'.join(
        [
            '---',
            f'license: {facts.licence.lower()}',
            'library_name: rapsam',
            'pipeline_tag: image-segmentation',
            '---',
            f'# {facts.name}',
            '',
            *_model_lines(model, weights),
            '',
            '## Data',
            '',
            facts.data.strip(),
            '',
            '## Figures',
            '',
            *_figure_lines(facts),
            '',
            '## Licence',
            '',
            f'{facts.licence}, for the weights. The program is under Apache-2.0.',
            '',
            '## Use',
            '',
            '```python',
            'from seg.apis import load_model',
            '',
            "model = load_model('FOLDER')  # where these files are",
            '```',
            '',
        ]
    )


def _model_lines(model: Any, weights: Path) -> list[str]:
    classes = tuple(model.dataset_meta['classes'])
    rest = len(classes) - _MAX_CLASSES
    listed = ', '.join(classes[:_MAX_CLASSES]) + (f' and {rest} more' if rest > 0 else '')
    prompts = ', '.join(sorted(getattr(model, 'prompt_kinds', ()))) or 'none'
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return [
        '| | |',
        '|---|---|',
        f'| model | `{type(model).__name__}` |',
        f'| parameters | {sum(p.numel() for p in model.parameters()):,} |',
        f'| prompts | {prompts} |',
        f'| classes | {len(classes)}: {listed} |',
        f'| weights | `{weights.name}`, {weights.stat().st_size:,} bytes, SHA-256 `{digest}` |',
    ]


def _figure_lines(facts: CardFacts) -> list[str]:
    if not facts.figures:
        return ['None were given.']
    rows = [f'| {name} | {_number(value)} |' for name, value in facts.figures.items()]
    return [facts.figures_of.strip(), '', '| metric | value |', '|---|---|', *rows]


def _number(value: float | None) -> str:
    return 'not measured' if value is None else f'{value:.4g}'
