"""Turn the YAML file of the SAM fine-tuning guide into a config of this package.

Unknown keys are errors with the nearest known one. The config is written into a folder beside the
shipped ones, whose files it builds on.

Example:
    python tools/import_config.py my_config.yaml configs/sam/my_config.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('guide', type=Path, help='YAML or JSON file')
    parser.add_argument('out', type=Path, help='config to write, in configs/sam')
    parser.add_argument(
        '--num-images',
        type=int,
        help='training images, by which epochs become iterations; counted when left out',
    )
    return parser.parse_args()


def main() -> None:
    """Write the config and check it."""
    args = parse_arguments()
    from seg.apis.guide_config import config_text, count_images, read_guide
    from seg.engine.config_options import load_config
    from seg.utils.atomic_write import write_bytes_atomically
    from seg.utils.checks import UserError

    guide = read_guide(args.guide)
    if not (args.out.parent / 'sam_vitb_folders_decoder.py').is_file():
        raise UserError(
            f'out {args.out}: expected a file in configs/sam, beside the configs it builds on'
        )
    count = args.num_images or count_images(guide)
    if count is None:
        raise UserError(
            f'data.data_dir {guide["data"]["data_dir"]}: expected the training images, to turn '
            'epochs into iterations, found none there; mend the path or add --num-images N'
        )
    text = config_text(guide, count, args.guide.name)
    write_bytes_atomically(args.out, text.encode())
    load_config(args.out)
    print(f'wrote {args.out}; train with: python tools/train.py {args.out}')


if __name__ == '__main__':
    run_main(main)
