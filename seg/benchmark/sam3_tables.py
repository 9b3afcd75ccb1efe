"""The tables of docs/sam3.md from counted costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seg.benchmark.sam3_costs import Sam3Costs
from seg.utils.checks import UserError


def size_table(costs: Mapping[str, Sam3Costs]) -> str:
    """What each size weighs and computes, as Markdown."""
    rows = [
        (
            f'`{name}`',
            f'{cost.parameters:,}',
            f'{2 * cost.half_gb:.2f} / {cost.half_gb:.2f}',
            f'{2 * cost.half_gb_without_text:.2f} / {cost.half_gb_without_text:.2f}',
            f'{cost.state_gb:.1f} / {cost.state_gb_frozen_text:.1f}',
            f'{cost.checkpoint_gb:.1f}',
            f'{cost.vision_gflop:,.0f}',
            f'{cost.phrase_gflop:.0f}',
        )
        for name, cost in costs.items()
    ]
    header = (
        'size',
        'parameters',
        'GB, single / half precision',
        'without text encoder',
        'GB to train all / text frozen',
        'GB of a checkpoint with AdamW',
        'GFLOP per image',
        'GFLOP per phrase',
    )
    return _markdown(header, rows)


def claim_table(costs: Mapping[str, Sam3Costs]) -> str:
    """What a guide to a lite SAM 3 claims, and what the counts say; as Markdown."""
    standard, lite = costs['standard'], costs['lite']
    smaller, larger = costs['smaller'], costs['larger']
    ratio = [standard.gflop(count) / lite.gflop(count) for count in (1, 20)]
    even = [cost.vision_gflop / cost.phrase_gflop for cost in (standard, lite)]
    rows = [
        (
            'lite is 1.0 GB instead of 2.5 GB, 60 % smaller',
            f'{lite.half_gb:.2f} GB instead of {standard.half_gb:.2f} GB in half precision, '
            f'{1 - lite.half_gb / standard.half_gb:.0%} smaller; '
            f'{lite.half_gb_without_text:.2f} GB without text encoder',
        ),
        (
            'smaller and larger are 0.8 and 1.3 GB',
            f'{smaller.half_gb:.2f} and {larger.half_gb:.2f} GB',
        ),
        (
            '30 to 40 % faster, 12 instead of 8.5 images per second',
            f'{ratio[0]:.2f} times fewer operations with one phrase, {ratio[1]:.2f} with 20: what '
            f'answers phrases costs as much as the image at {even[0]:.0f} phrases (standard) or '
            f'{even[1]:.0f} (lite), so a rate means nothing without their number',
        ),
        (
            'lite trains on 8 GB with batches of 2',
            f'weights, gradients and moments alone are {lite.state_gb:.1f} GB, '
            f'{lite.state_gb_frozen_text:.1f} with a frozen text encoder, '
            f'{lite.state_gb_without_text:.1f} without one',
        ),
        (
            'checkpoints of mixed precision are half as large',
            'they are in single precision, with moments: '
            f'{lite.checkpoint_gb:.1f} GB (lite), {standard.checkpoint_gb:.1f} GB (standard); '
            f'`extract_model_weights.py --half` leaves {lite.half_gb:.2f} GB',
        ),
    ]
    return _markdown(('claim', 'what holds'), rows)


def replace_tables(file: Path, tables: Mapping[str, str]) -> None:
    """Replace the tables of a Markdown file, each between ``<!-- NAME -->`` and ``<!-- end -->``.

    Raises:
        UserError: If a place is missing.
        FileNotFoundError: If the file is.
    """
    text = file.read_text()
    for name, table in tables.items():
        start, end = f'<!-- {name} -->\n', '<!-- end -->'
        before, found, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise UserError(f'{file}: expected {start.strip()} and {end} after it, found none')
        text = f'{before}{start}{table}\n{end}{after}'
    file.write_text(text)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
