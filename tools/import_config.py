"""Turn the file of a fine-tuning guide, SAM's YAML or EfficientSAM's JSON, into a config.

Unknown keys are errors with the nearest known one; JSON may hold comments. The config is written
into a folder beside the shipped ones, whose files it builds on.

Examples:
    python tools/import_config.py my_config.yaml configs/sam/my_config.py
    python tools/import_config.py finetune_config.json configs/efficient_sam/my_config.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('guide', type=Path, help='YAML or JSON file')
    parser.add_argument(
        'out', type=Path, help='config to write, in configs/sam or configs/efficient_sam'
    )
    parser.add_argument(
        '--kind',
        choices=['sam', 'efficient_sam'],
        help='whose file it is; by default efficient_sam for JSON and sam otherwise',
    )
    parser.add_argument(
        '--num-images',
        type=int,
        help='training images, by which epochs become iterations; counted when left out',
    )
    return parser.parse_args()


def read(args: argparse.Namespace, kind: str) -> tuple[str, int | None, Callable[[int], str]]:
    """The guide's file: the config it builds on, its number of images, and how to write it."""
    from seg.apis import efficient_sam_guide, guide_config

    name = args.guide.name
    if kind == 'efficient_sam':
        guide = efficient_sam_guide.read_efficient_sam_guide(args.guide)
        count = efficient_sam_guide.count_training_images(guide)
        base = f'configs/efficient_sam/{efficient_sam_guide.BASE_CONFIG}.py'
        return (
            base,
            count,
            partial(efficient_sam_guide.efficient_sam_config_text, guide, source=name),
        )
    guide = guide_config.read_guide(args.guide)
    count = guide_config.count_images(guide)
    base = 'configs/sam/sam_vitb_folders_decoder.py'
    return base, count, partial(guide_config.config_text, guide, source=name)


def main() -> None:
    """Write the config and check it."""
    args = parse_arguments()
    from seg.engine.config_options import load_config
    from seg.utils.atomic_write import write_bytes_atomically
    from seg.utils.checks import UserError

    kind = args.kind or ('efficient_sam' if args.guide.suffix == '.json' else 'sam')
    base, found, write = read(args, kind)
    folder, name = base.rsplit('/', 1)
    if not (args.out.parent / name).is_file():
        raise UserError(
            f'out {args.out}: expected a file in {folder}, beside the configs it builds on'
        )
    if args.out.suffix != '.py':
        raise UserError(f'out {args.out}: expected the name of a config, ending in .py')
    if args.out.is_file() and not args.out.read_text().startswith('"""Written from '):
        raise UserError(
            f'out {args.out}: expected a new file, or one that this tool wrote, got another '
            'config; choose another name'
        )
    count = args.num_images or found
    if count is None:
        raise UserError(
            f'{args.guide}: expected the training images or annotations that it names, to turn '
            'epochs into iterations, found none there; mend the path or add --num-images N'
        )
    write_bytes_atomically(args.out, write(count).encode())
    load_config(args.out)
    print(f'wrote {args.out}; train with: python tools/train.py {args.out}')


if __name__ == '__main__':
    run_main(main)
