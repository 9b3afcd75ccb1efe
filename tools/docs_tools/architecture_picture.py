"""Draw the picture of the architecture, docs/pictures/architecture.svg.

Example:
    python tools/docs_tools/architecture_picture.py
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main

ROOT = Path(__file__).resolve().parents[2]

WIDTH, HEIGHT = 1120, 590
_COLORS = {
    'data': '#dbeafe',
    'network': '#d1fae5',
    'prompt': '#fef3c7',
    'training': '#fee2e2',
    'inference': '#ede9fe',
}
_LINE = '#334155'


@dataclass(frozen=True)
class Box:
    """A part of the package.

    Attributes:
        x: Left edge, pixels.
        y: Upper edge, pixels.
        width: Pixels.
        title: Its name.
        notes: Lines below the name.
        kind: Its color.
    """

    x: int
    y: int
    width: int
    title: str
    notes: tuple[str, ...]
    kind: str

    @property
    def height(self) -> int:
        """Pixels; a line each for the title and the notes."""
        return 34 + 17 * len(self.notes)

    def svg(self) -> str:
        """The box with its text."""
        middle = self.x + self.width / 2
        lines = [
            f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="7" '
            f'fill="{_COLORS[self.kind]}" stroke="{_LINE}"/>',
            _text(middle, self.y + 22, self.title, 14, bold=True),
        ]
        for index, note in enumerate(self.notes):
            lines.append(_text(middle, self.y + 40 + 17 * index, note, 12))
        return '\n'.join(lines)


BOXES = (
    Box(20, 50, 190, 'Data sets', ('files or Shapes;', 'each declares its task'), 'data'),
    Box(245, 50, 190, 'Transforms', ('masks, frames, prompts', 'of one dict'), 'data'),
    Box(470, 50, 190, 'TaskBatchSampler', ('one task in a batch,', 'by ratios'), 'data'),
    Box(
        695,
        50,
        190,
        'ClipPreprocessor',
        ('(B, T, 3, H, W): an image', 'is a clip of one frame'),
        'data',
    ),
    Box(20, 195, 190, 'Backbone', ('ResNet, OpenCLIP', 'strides 4 to 32'), 'network'),
    Box(
        245, 195, 190, 'YOSONeck', ('mask_features at stride 4', 'coarse features at 16'), 'network'
    ),
    Box(
        470,
        195,
        190,
        'DecoderStages',
        ('pool, read, update, talk;', 'queries draw masks'),
        'network',
    ),
    Box(
        695,
        195,
        190,
        'Adapter of the task',
        ('ObjectAdapter: classes', 'PromptAdapter: mask IoU'),
        'network',
    ),
    Box(920, 195, 180, 'StageOutput', ('masks, classes, quality', 'of every stage'), 'network'),
    Box(20, 345, 190, 'Prompts', ('points, boxes, masks,', 'words'), 'prompt'),
    Box(245, 345, 190, 'PromptEncoder', ('fusion into one query', 'per object'), 'prompt'),
    Box(470, 345, 190, 'Memory', ('StreamingMemoryAdapter:', 'state of constant size'), 'prompt'),
    Box(
        695, 345, 190, 'TaskRouter', ('task: how many stages,', 'which adapter, memory?'), 'prompt'
    ),
    Box(
        20,
        490,
        415,
        'Training',
        (
            'SegmentCriterion: raw losses of matched masks',
            'TaskLossTable: weights of the task, applied once',
        ),
        'training',
    ),
    Box(
        470,
        490,
        415,
        'Inference',
        (
            'PanopticFusion, PanopticTracker, ranking by predicted IoU',
            'metrics · predictors and sessions · pictures',
        ),
        'inference',
    ),
)

# Corners of each arrow, and whether it has a head at both ends.
ARROWS: tuple[tuple[tuple[tuple[int, int], ...], bool], ...] = (
    (((210, 84), (245, 84)), False),
    (((435, 84), (470, 84)), False),
    (((660, 84), (695, 84)), False),
    (((790, 118), (790, 157), (115, 157), (115, 195)), False),
    (((210, 229), (245, 229)), False),
    (((435, 229), (470, 229)), False),
    (((660, 229), (695, 229)), False),
    (((885, 229), (920, 229)), False),
    (((210, 379), (245, 379)), False),
    (((340, 345), (340, 304), (515, 304), (515, 263)), False),
    (((600, 345), (600, 263)), True),
    (((695, 379), (660, 379)), False),
    (((790, 345), (790, 263)), False),
    (((1010, 263), (1010, 455), (227, 455), (227, 490)), False),
    (((677, 455), (677, 490)), False),
)
LABELS = (
    (20, 36, 'Data'),
    (20, 181, 'Network'),
    (20, 331, 'What is asked'),
    (20, 476, 'What comes of it'),
)


def picture() -> str:
    """The whole picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" role="img">',
        '<title>Architecture of RapSAM</title>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto-start-reverse"><path d="M0 0 L8 4 L0 8 z" fill="{_LINE}"/>'
        '</marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="white"/>',
    ]
    parts += [_arrow(corners, both) for corners, both in ARROWS]
    parts += [box.svg() for box in BOXES]
    parts += [_text(x, y, label, 13, bold=True, anchor='start') for x, y, label in LABELS]
    return '\n'.join([*parts, '</svg>', ''])


def _arrow(corners: tuple[tuple[int, int], ...], both_ends: bool) -> str:
    path = ' L'.join(f'{x} {y}' for x, y in corners)
    start = ' marker-start="url(#head)"' if both_ends else ''
    return (
        f'<path d="M{path}" fill="none" stroke="{_LINE}" stroke-width="1.5"{start} '
        'marker-end="url(#head)"/>'
    )


def _text(
    x: float, y: float, text: str, size: int, *, bold: bool = False, anchor: str = 'middle'
) -> str:
    weight = ' font-weight="bold"' if bold else ''
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}"{weight} '
        f'fill="#0f172a">{escape(text)}</text>'
    )


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ROOT / 'docs' / 'pictures' / 'architecture.svg'
    parser.add_argument('--out', type=Path, default=default, help='default: %(default)s')
    args = parser.parse_args()
    args.out.write_text(picture(), encoding='utf-8')


if __name__ == '__main__':
    run_main(main)
