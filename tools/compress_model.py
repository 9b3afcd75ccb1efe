"""Make a trained SAM 3 smaller: half precision, fewer blocks, no text encoder.

Writes OUT/model.safetensors and OUT/config.py, which belong together, and says what became of the
size. A model with fewer blocks has to be trained on; the other two change nearly nothing.

Examples:
    python tools/compress_model.py CONFIG CHECKPOINT small/ --precision fp16
    python tools/compress_model.py CONFIG CHECKPOINT small/ --phrases dog "traffic light"
    python tools/compress_model.py CONFIG CHECKPOINT small/ --variant depth_pruned
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main

if TYPE_CHECKING:
    from torch import nn


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config of the model')
    parser.add_argument('checkpoint', type=Path, help='its weights')
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument(
        '--precision',
        default='fp16',
        choices=['fp16', 'bf16', 'fp32'],
        help='of the numbers in the file (default: %(default)s)',
    )
    parser.add_argument('--variant', help='shallower variant of the same width: depth_pruned')
    parser.add_argument(
        '--phrases', nargs='+', help='remove the text encoder; these phrases stay known'
    )
    return parser.parse_args()


def count_parameters(model: nn.Module) -> int:
    """Numbers that training may change."""
    return sum(value.numel() for value in model.parameters())


def weights_bytes(model: nn.Module) -> int:
    """Bytes of all tensors of a model."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


def pruned(cfg: Any, model: Any, variant: str) -> tuple[Any, str]:
    """A shallower model with the weights that fit it, and what they are."""
    from ext.sam3 import TEXT_PARTS, prune_blocks, sam3_variant
    from seg.registry import MODELS
    from seg.utils.weight_coverage import inherit_weights

    cfg.model.update(variant=variant)
    smaller = MODELS.build(cfg.model)
    state = prune_blocks(model.state_dict(), sam3_variant(variant))
    coverage = inherit_weights(smaller, state, uncounted=TEXT_PARTS, name='the deeper model')
    return smaller.eval(), coverage.table()


def main() -> None:
    """Write the smaller model."""
    args = parse_arguments()
    import torch

    from seg.apis import load_model
    from seg.models.detectors import Sam3Segmentor
    from seg.utils.checkpoints import write_safetensors
    from seg.utils.checks import UserError

    model: Any = load_model(args.config, args.checkpoint, 'cpu')
    if not isinstance(model, Sam3Segmentor):
        raise UserError(f'config: expected a Sam3Segmentor, got {type(model).__name__}')
    cfg = model.cfg
    cfg.model.init_cfg = None
    report = {'parameters_before': count_parameters(model), 'bytes_before': weights_bytes(model)}
    if args.variant is not None:
        model, table = pruned(cfg, model, args.variant)
        print(table, file=sys.stderr)
    if args.phrases:
        model.keep_phrases(args.phrases)
        cfg.model.update(phrases=tuple(args.phrases), drop_text_encoder=True)
    precision = {'fp16': torch.float16, 'bf16': torch.bfloat16, 'fp32': torch.float32}
    state = {
        key: value.to(precision[args.precision]) if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_safetensors(args.out / 'model.safetensors', state)
    cfg.dump(str(args.out / 'config.py'))
    report['parameters'] = count_parameters(model)
    report['bytes'] = (args.out / 'model.safetensors').stat().st_size
    print(json.dumps(report))


if __name__ == '__main__':
    run_main(main)
