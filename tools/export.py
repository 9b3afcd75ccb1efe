"""Write parts of a RapSAM as files for other runtimes, checked against the network.

Each file is run once. It is there when it is whole and within the tolerance; else what was there
stays.

Examples:
    python tools/export.py CONFIG CHECKPOINT outputs/onnx --size 384x640
    python tools/export.py CONFIG CHECKPOINT outputs/pt2 --format torch --parts encoder objects
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.number_flags import count_flag, size_flag
from seg.utils.writable import check_writable_file

if TYPE_CHECKING:
    from seg.apis.model_export import ExportPart

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
        help='largest difference of a file from the network, of the largest value '
        '(default: %(default)s)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def write(
    part: ExportPart, export_format: str, path: Path, tolerance: float
) -> tuple[dict[str, float], float]:
    """Write a part, unless it differs from the network by more than the tolerance.

    Returns:
        How much the outputs of the file differ, and its size in MB.
    """
    from seg.utils.atomic_write import written_beside

    with written_beside(path) as beside:
        found = _write_and_compare(part, export_format, beside)
        megabytes = beside.stat().st_size / 1e6
        if not _worst(found) <= tolerance:
            beside.unlink()
    return found, megabytes


def _write_and_compare(part: ExportPart, export_format: str, path: Path) -> dict[str, float]:
    from seg.apis import model_export

    writing, running = {
        'onnx': (model_export.write_onnx, model_export.run_onnx),
        'torch': (model_export.write_torch_export, model_export.run_torch_export),
        'aot': (model_export.write_aot_package, model_export.run_aot_package),
    }[export_format]
    writing(part, path)
    return model_export.deviations(part, running(path, part))


def main() -> int:
    """Write and check the files.

    Returns:
        1 if a file differs from the network by more than the tolerance, else 0.
    """
    arguments = parse_arguments()
    if not 0 < arguments.tolerance < math.inf:
        raise UserError(
            f'--tolerance: expected a number above 0, such as 1e-3, got {arguments.tolerance:g}'
        )
    paths = {
        name: arguments.out / f'{name}{SUFFIXES[arguments.format]}' for name in arguments.parts
    }
    for path in paths.values():
        check_writable_file(path, 'out')
    from seg.apis import load_model
    from seg.apis.model_export import check_plan, export_part, loses_sight
    from seg.benchmark.measuring import telling_what_fits
    from seg.models.deployment import fuse

    check_plan(arguments.parts, arguments.size, arguments.format)
    model = fuse(load_model(arguments.config, arguments.checkpoint, 'cpu'))
    report, failed = [], 0
    for name, path in paths.items():
        with telling_what_fits(f'part {name}', arguments.size):
            part = export_part(
                model,
                name,
                arguments.size,
                num_objects=arguments.objects,
                num_points=arguments.points,
            )
            found, megabytes = write(part, arguments.format, path, arguments.tolerance)
        worst = _worst(found)
        off = not worst <= arguments.tolerance
        failed += off
        remark = ' OFF, not kept' if off else ''
        if loses_sight(part):
            remark += '; no example was in sight, so what it remembers was not compared'
        print(f'{path}: {megabytes:.1f} MB, differs by {worst:.1e}{remark}')
        row = {'part': name, 'file': str(path), 'mb': megabytes, 'deviations': found}
        report.append({**row, 'kept': not off})
    if arguments.json:
        print(json_text({'format': arguments.format, 'files': report, 'failed': failed}))
    return 1 if failed else 0


def _worst(deviations: dict[str, float]) -> float:
    """The largest one; nothing is worse than one that is no number."""
    return max(deviations.values(), key=lambda value: (math.isnan(value), value), default=0.0)


if __name__ == '__main__':
    run_main(main)
