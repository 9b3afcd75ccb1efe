"""Write parts of a RapSAM as files for other runtimes, checked against the network.

Examples:
    python tools/export.py CONFIG CHECKPOINT outputs/onnx --size 384x640
    python tools/export.py CONFIG CHECKPOINT outputs/pt2 --format torch --parts encoder objects
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.number_flags import count_flag, size_flag
from seg.utils.writable import check_writable_folder

PARTS = ('encoder', 'objects', 'prompts', 'start', 'video', 'sharpener')
SUFFIXES = {'onnx': '.onnx', 'torch': '.pt2', 'aot': '.aot.pt2'}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config that the model was trained with')
    parser.add_argument('checkpoint', type=Path, help='weights: .safetensors, .pth or .pt')
    parser.add_argument('out', type=Path, help='folder to write into')
    parser.add_argument(
        '--format',
        choices=list(SUFFIXES),
        default='onnx',
        help='onnx; torch: a program of torch.export; '
        'aot: compiled ahead of time (needs g++) (default: %(default)s)',
    )
    parser.add_argument('--parts', choices=PARTS, nargs='+', default=PARTS[:3])
    parser.add_argument(
        '--size', type=size_flag, default=(384, 640), metavar='HxW', help='multiples of 32'
    )
    parser.add_argument(
        '--objects', type=count_flag, default=1, help='prompted objects (default: 1)'
    )
    parser.add_argument(
        '--points', type=count_flag, default=1, help='clicks per object (default: 1)'
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1e-3,
        help='largest difference of ONNX files from the network, of the largest value '
        '(default: %(default)s)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def write(part: Any, export_format: str, path: Path) -> dict[str, float]:
    """Write a part and compare it with the network; formats of PyTorch are not run again."""
    from seg.apis import model_export

    if export_format == 'torch':
        model_export.write_torch_export(part, path)
        return {}
    if export_format == 'aot':
        model_export.write_aot_package(part, path)
        return {}
    model_export.write_onnx(part, path)
    return model_export.deviations(part, model_export.run_onnx(path, part))


def main() -> int:
    """Write and check the files.

    Returns:
        1 if a file differs from the network by more than the tolerance, else 0.
    """
    arguments = parse_arguments()
    if not arguments.tolerance > 0:
        raise UserError(f'--tolerance: expected a number above 0, got {arguments.tolerance:g}')
    check_writable_folder(arguments.out, 'out')
    from seg.apis import load_model
    from seg.apis.model_export import export_part
    from seg.models.deployment import fuse

    model = fuse(load_model(arguments.config, arguments.checkpoint, 'cpu'))
    report, failed = [], 0
    for name in arguments.parts:
        part = export_part(
            model,
            name,
            arguments.size,
            num_objects=arguments.objects,
            num_points=arguments.points,
        )
        path = arguments.out / f'{name}{SUFFIXES[arguments.format]}'
        found = write(part, arguments.format, path)
        worst = max(found.values(), key=_badness, default=0.0)
        off = arguments.format == 'onnx' and not worst <= arguments.tolerance
        failed += off
        megabytes = path.stat().st_size / 1e6
        compared = f', differs by {worst:.1e}{" OFF" if off else ""}' if found else ''
        print(f'{path}: {megabytes:.1f} MB{compared}')
        row = {'part': name, 'file': str(path), 'mb': megabytes, 'deviations': found}
        report.append(row)
    if arguments.json:
        print(json_text({'format': arguments.format, 'files': report, 'failed': failed}))
    return 1 if failed else 0


def _badness(deviation: float) -> tuple[bool, float]:
    """Order of deviations; nothing is worse than one that is no number."""
    return math.isnan(deviation), deviation


if __name__ == '__main__':
    run_main(main)
