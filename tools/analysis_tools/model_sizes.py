"""Count the parameters of shipped models, without their weights.

Example:
    python tools/analysis_tools/model_sizes.py configs/rap_sam/rap_sam_nano_quick_shapes.py --json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', type=Path, nargs='+', help='configs of models')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def model_size(path: Path) -> dict[str, Any]:
    """Name, kind, and numbers of parameters of a config's model."""
    import torch

    from seg.engine.config_options import load_config
    from seg.registry import MODELS

    cfg = load_config(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    return {
        'config': path.as_posix(),
        'model': type(model).__name__,
        'parameters': sum(p.numel() for p in model.parameters()),
        'trained': sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def main() -> None:
    """Count and print."""
    arguments = parse_arguments()
    sizes = [model_size(path) for path in arguments.configs]
    for size in sizes:
        print(f'{size["config"]}: {size["parameters"]:,}, trained {size["trained"]:,}')
    if arguments.json:
        print(json_text(sizes))


if __name__ == '__main__':
    run_main(main)
