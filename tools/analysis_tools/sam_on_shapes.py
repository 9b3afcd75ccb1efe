"""Fine-tune the small SAM of Shapes with every strategy on data of another kind, and compare.

Writes Shapes as folders and as COCO, changes every image as another sensor would see it (grey,
inverted, faint, smeared, noisy), scores the model that was not fine-tuned, then each strategy. The
table goes to standard error, the last line of standard output is JSON.

Example:
    python tools/train.py configs/sam/sam_tiny_shapes.py
    python tools/analysis_tools/sam_on_shapes.py work_dirs/sam_tiny_shapes/best.pth
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'sam'
STRATEGIES = ('decoder', 'adapter', 'lora', 'full')
LAYOUTS = {'folders': 'folders', 'coco': 'coco_instance'}
SCORES = ('IoU', 'BIoU')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('base', type=Path, help='weights to start from')
    parser.add_argument('--layouts', nargs='+', default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument('--strategies', nargs='+', default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument('--num', type=int, default=80, help='images to train on, and to score')
    parser.add_argument('--iters', type=int, default=400, help='iterations of each strategy')
    parser.add_argument('--seed', type=int, default=7, help='which worlds of Shapes')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/sam_on_shapes'))
    return parser.parse_args()


def write_data(layout: str, out: Path, num: int, seed: int) -> None:
    """Write both splits of a layout, if they are not there, and change their images."""
    from seg.datasets.converters import WRITERS, write_shapes

    done = out / 'changed.txt'
    if done.is_file():
        return
    for _ in write_shapes(WRITERS[LAYOUTS[layout]], out, num, seed=seed):
        pass
    change_images(out)
    done.write_text(f'{num} images of seed {seed}\n')


def change_images(root: Path) -> None:
    """Make all pictures look as if another sensor had taken them; they are not moved."""
    import numpy as np
    from PIL import Image

    from seg.datasets.imaging import read_image
    from seg.datasets.shapes import as_other_sensor

    rng = np.random.default_rng(0)
    for path in sorted(root.rglob('*.jpg')):
        Image.fromarray(as_other_sensor(read_image(path), rng)).save(path, quality=95)


def make_config(layout: str, strategy: str, data: Path, args: argparse.Namespace) -> Config:
    """The config of a strategy, on the data of a layout."""
    from seg.engine.config_options import load_config

    cfg = load_config(CONFIGS / f'sam_tiny_folders_{strategy}.py')
    cfg.model.init_cfg.checkpoint = str(args.base)
    cfg.train_cfg.update(max_iters=args.iters, val_interval=args.iters)
    cfg.default_hooks.checkpoint.interval = args.iters
    cfg.default_hooks.update(val_pictures=None, progress=None)
    for name, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        loader = cfg[f'{name}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        if layout == 'folders':
            loader.dataset.root = str(data)
        else:
            loader.dataset = coco_dataset(data, split, loader.dataset)
    return cfg


def coco_dataset(data: Path, split: str, folders: dict[str, Any]) -> dict[str, Any]:
    """The data set in COCO instance format that goes with one in folders."""
    from seg.datasets import CocoInstanceDataset

    return dict(
        type=CocoInstanceDataset,
        ann_file=str(data / f'annotations/instances_{split}2017.json'),
        img_dir=str(data / f'{split}2017'),
        task=folders['task'],
        test_mode=split == 'val',
        pipeline=folders['pipeline'],
    )


def run(layout: str, strategy: str | None, args: argparse.Namespace) -> dict[str, Any]:
    """Scores after fine-tuning with a strategy, or of the base model.

    Args:
        layout: How the data are stored.
        strategy: ``None`` for the base model.
        args: The settings.
    """
    from seg.engine.launch import build_runner

    data = args.out / 'data' / layout
    cfg = make_config(layout, strategy or 'full', data, args)
    name = f'{layout}_{strategy or "base"}'
    cfg.experiment_name = name
    if strategy is None:
        cfg.load_from, cfg.model.init_cfg = str(args.base), None
    runner = build_runner(cfg, CONFIGS / 'sam_tiny_shapes.py', args.out / name)
    if strategy is None:
        scores = runner.test()
    else:
        runner.train()
        logged = runner.message_hub.log_scalars
        scores = {f'prompt/{key}': logged[f'val/prompt/{key}'].current() for key in SCORES}
    row: dict[str, Any] = {'layout': layout, 'strategy': strategy or 'not fine-tuned'}
    return row | {key: round(float(scores[f'prompt/{key}']), 1) for key in SCORES}


def main() -> None:
    """Write the data, train and compare."""
    args = parse_args()
    if not args.base.is_file():
        raise FileNotFoundError(
            f'base {args.base}: expected the weights of configs/sam/sam_tiny_shapes.py, found no '
            'file; train them with tools/train.py'
        )
    rows = []
    for layout in args.layouts:
        write_data(layout, args.out / 'data' / layout, args.num, args.seed)
        for strategy in (None, *args.strategies):
            rows.append(run(layout, strategy, args))
            sys.stderr.write(f'{rows[-1]}\n')
    print(json_text(rows))


if __name__ == '__main__':
    run_main(main)
