"""Time a click against the encoding of its image; the click has to be cheap.

The weights do not matter for the time, so they are random.

Example:
    python tools/analysis_tools/bench_predictor.py --size 1024 --json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.freed_memory import keep_freed_memory
from seg.utils.json_text import json_text
from seg.utils.paths import config_dir

DEFAULT_CONFIG = config_dir() / 'rap_sam' / 'rap_sam_r50_12e_adaptor.py'
TARGET = 0.15


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        '--config', type=Path, default=DEFAULT_CONFIG, help='default: RapSAM on ResNet-50'
    )
    parser.add_argument('--size', type=int, default=1024, help='side of the image (default: 1024)')
    parser.add_argument('--repeats', type=int, default=5, help='runs of each (default: 5)')
    parser.add_argument('--threads', type=int, help='CPU threads; by default those of torch')
    parser.add_argument('--device', default='cpu', help='such as cpu (default) or cuda:0')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def build_model(config: Path, size: int, device: str) -> Any:
    """A model with random weights that reads images at the given size."""
    import torch
    from mmengine.config import Config

    from seg.apis.loading import choose_device, read_config
    from seg.registry import MODELS

    cfg = read_config(config)
    torch.manual_seed(0)
    model: Any = MODELS.build(cfg.model)
    pipeline = [dict(type='TestResize', scale=(size, size)), dict(type='PackClip')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.entry = None
    return model.to(choose_device(device)).eval()


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """Median time of an action, after one run that does not count."""
    import torch

    def timed() -> float:
        start = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    timed()
    return statistics.median(timed() for _ in range(repeats))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Times in seconds and their ratio."""
    import numpy as np
    import torch

    from seg.apis import ImagePredictor

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    size = arguments.size
    predictor = ImagePredictor(build_model(arguments.config, size, arguments.device))
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    encode = median_seconds(lambda: predictor.set_image(image), arguments.repeats)
    click = median_seconds(
        lambda: predictor.predict(points=[[[size / 2, size / 2]]]), arguments.repeats
    )
    return {
        'config': arguments.config.stem,
        'size': size,
        'device': str(arguments.device),
        'threads': torch.get_num_threads(),
        'set_image_seconds': round(encode, 4),
        'click_seconds': round(click, 4),
        'ratio': round(click / encode, 4),
        'target': TARGET,
    }


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    keep_freed_memory()
    for name in ('size', 'repeats', 'threads'):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f'--{name}: expected 1 or more, got {value}')
    result = measure(arguments)
    print(
        f'set_image {result["set_image_seconds"]:.3f} s, click {result["click_seconds"]:.3f} s: '
        f'{100 * result["ratio"]:.1f} % (at most {100 * TARGET:.0f} % wanted)'
    )
    if arguments.json:
        print(json_text(result))
    return 0


if __name__ == '__main__':
    run_main(main)
