"""Draw contact sheets of Shapes: images with their segments, clips as film strips, expressions.

Writes shapes_images.jpg, shapes_clips.jpg and shapes_expressions.jpg, and with --json prints the
statistics of the world beside their targets.

Example:
    python tools/analysis_tools/shapes_sheet.py --out-dir docs/pictures
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from seg.datasets.shapes import ShapesSample, ShapesWorld

STRIP_FRAMES = 8
CLIP_FRAMES = 24


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out-dir', type=Path, default=Path('outputs/shapes'))
    parser.add_argument('--seed', type=int, default=0, help='which world')
    parser.add_argument('--first', type=int, default=0, help='index of the first sample')
    parser.add_argument('--images', type=int, default=8, help='images and expressions to draw')
    parser.add_argument('--clips', type=int, default=5, help='clips to draw')
    parser.add_argument('--json', action='store_true', help='print the statistics of the world')
    parser.add_argument('--num', type=int, default=2000, help='images behind the statistics')
    args = parser.parse_args()
    for name in ('images', 'clips', 'num'):
        if getattr(args, name) < 1:
            raise ValueError(f'--{name}: expected a number >= 1, got {getattr(args, name)}')
    return args


def draw_segments(sample: ShapesSample, frame: int, min_size: int, names: bool) -> np.ndarray:
    """One frame with its segments tinted, outlined and, if wanted, named."""
    import torch

    from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
    from seg.structures import PanopticData, Segment
    from seg.visualization import SegmentVisualizer

    shown = np.unique(sample.segment_map[frame])
    segments = [
        Segment(k, int(sample.labels[k - 1]), bool(sample.is_thing[k - 1]), 1.0)
        for k in shown.tolist()
    ]
    visualizer = SegmentVisualizer(0.75, 0.6, min_size=min_size, show_labels=names)
    panoptic = PanopticData(torch.from_numpy(sample.segment_map), segments)
    return visualizer.draw_panoptic(
        sample.clip[frame], panoptic, SHAPES_THINGS + SHAPES_STUFF, frame
    )


def draw_images(world: ShapesWorld, indices: range) -> np.ndarray:
    """Images beside their segments."""
    from seg.visualization import SegmentVisualizer, contact_sheet

    plain = SegmentVisualizer(0, 0, min_size=256, show_labels=False)
    pictures = []
    for index in indices:
        sample = world.image(index)
        pictures.append(plain.draw_semantic(sample.clip[0], np.full(world.size, -1), ()))
        pictures.append(draw_segments(sample, 0, 256, names=True))
    return contact_sheet(pictures, columns=4)


def draw_clips(world: ShapesWorld, indices: range) -> np.ndarray:
    """Film strips of frames above their segments."""
    from seg.visualization import contact_sheet

    pictures = []
    times = np.linspace(0, CLIP_FRAMES - 1, STRIP_FRAMES).round().astype(int).tolist()
    for index in indices:
        sample = world.clip(index, CLIP_FRAMES)
        pictures += [
            np.concatenate([sample.clip[t], draw_segments(sample, t, 0, names=False)])
            for t in times
        ]
    captions = [f'frame {t}' for _ in indices for t in times]
    return contact_sheet(pictures, STRIP_FRAMES, captions)


def draw_expressions(world: ShapesWorld, indices: range) -> np.ndarray:
    """Images whose things are outlined one at a time, each with its expression below."""
    from seg.visualization import contact_sheet
    from seg.visualization.canvas import Canvas

    pictures, captions = [], []
    for index in indices:
        sample = world.image(index)
        named = [k for k, words in enumerate(sample.expressions) if words is not None]
        longest = max(named, key=lambda k: len(sample.expressions[k] or ''))
        mask = sample.segment_map[0] == longest + 1
        canvas = Canvas(sample.clip[0] // 2 + 60, min_size=256)
        bright = Canvas(sample.clip[0], min_size=256)
        region = canvas.region(mask)
        cover = region.cover[..., None]
        rows, columns = region.window
        window = canvas.pixels[rows, columns]
        window[:] = window * (1 - cover) + bright.pixels[rows, columns] * cover
        canvas.outline(region, (255, 255, 255))
        pictures.append(canvas.pixels)
        captions.append(sample.expressions[longest] or '')
    return contact_sheet(pictures, columns=4, captions=captions)


def main() -> None:
    """Draw the sheets."""
    args = parse_args()
    from seg.datasets.shapes import ShapesWorld, shapes_statistics
    from seg.visualization.picture_file import write_picture

    world = ShapesWorld(seed=args.seed)
    images = range(args.first, args.first + args.images)
    clips = range(args.first, args.first + args.clips)
    for name, sheet in (
        ('images', draw_images(world, images)),
        ('clips', draw_clips(world, clips)),
        ('expressions', draw_expressions(world, images)),
    ):
        path = write_picture(args.out_dir / f'shapes_{name}.jpg', sheet)
        sys.stderr.write(f'{path}\n')
    if args.json:
        print(json_text(shapes_statistics(world, args.num)))


if __name__ == '__main__':
    run_main(main)
