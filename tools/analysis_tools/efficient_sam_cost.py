"""Measure what training steps and encodings of EfficientSAM cost, with fused and naive attention.

Weights are random and the image is noise, which costs the same. Every measurement runs in a process
of its own, so that memory is that of one case. Time is that of the CPU, so that other programs do
not count; with several threads it is the sum of all. The naive attention builds the map of all
pairs of patches, as the published program does.

Example:
    python tools/analysis_tools/efficient_sam_cost.py --variants vitt --cases decoder encode
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

CASES = {
    'encode': None,
    'decoder': dict(type='TrainDecoder', prompt_encoder=False),
    'full': dict(type='TrainAll'),
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--variants', nargs='+', default=['vitt', 'vits'])
    parser.add_argument(
        '--cases',
        nargs='+',
        default=list(CASES),
        choices=CASES,
        help='encode: an image without gradients; decoder, full: a training step of that part',
    )
    parser.add_argument('--attention', nargs='+', default=['fused', 'naive'])
    parser.add_argument('--size', type=int, default=1024, help='side of the canvas, pixels')
    parser.add_argument('--boxes', type=int, default=4, help='boxes of a training step')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeat', type=int, default=1, help='steps; the fastest counts')
    parser.add_argument('--warmup', type=int, default=1, help='steps before them')
    parser.add_argument('--inner', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def naive_attention(self: Any, x: Any) -> Any:
    """The attention of a block through the map of all pairs of patches."""
    qkv = self.qkv(x.flatten(1, 2)).unflatten(-1, (3, self.num_heads, -1))
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)
    return self.proj((weights @ v).transpose(1, 2).reshape(x.shape))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """One case, in this process."""
    import torch

    import seg.models.detectors  # noqa: F401
    from ext.efficient_sam.image_encoder import Attention
    from seg.registry import MODELS

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    (variant,), (case,), (attention,) = args.variants, args.cases, args.attention
    if attention == 'naive':
        Attention.forward = naive_attention
    config = dict(type='EfficientSamSegmentor', variant=variant, image_size=args.size)
    model = MODELS.build(config | ({'strategy': CASES[case]} if CASES[case] else {})).train()
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    before = peak_memory()
    times, value = [], 0.0
    for _ in range(args.warmup + args.repeat):
        start = time.process_time()
        value = run_step(model, optimizer, case, args)
        times.append(time.process_time() - start)
    return {
        'variant': variant,
        'case': case,
        'attention': attention,
        'cpu_seconds': round(min(times[args.warmup :]), 2),
        'peak_gib': round(peak_memory(), 2),
        'before_gib': round(before, 2),
        'value': round(value, 5),
    }


def run_step(model: Any, optimizer: Any, case: str, args: argparse.Namespace) -> float:
    """One encoding, or one training step; a number that both attentions share."""
    import torch

    batch = make_batch(args.size, args.boxes)
    data = model.data_preprocessor(batch, True)
    if case == 'encode':
        with torch.no_grad():
            return float(model.extract_feat(data['inputs']).abs().mean())
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def make_batch(size: int, num_boxes: int) -> dict[str, Any]:
    """One image of noise with some boxes, which are full."""
    import torch
    from mmengine.structures import InstanceData

    from seg.structures import ClipSample, Prompts

    noise = torch.Generator().manual_seed(0)
    corners = torch.rand(num_boxes, 2, generator=noise) * size * 0.6
    boxes = torch.cat([corners, corners + size * 0.3], dim=1).round()
    masks = torch.zeros(num_boxes, 1, size, size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.long().tolist(), strict=True):
        mask[0, y0:y1, x0:x1] = True
    sample = ClipSample(metainfo=dict(task='interactive_image', img_shape=(size, size)))
    sample.gt_segments = InstanceData(
        masks=masks,
        labels=torch.zeros(num_boxes, dtype=torch.long),
        object_ids=torch.arange(num_boxes),
        is_crowd=torch.zeros(num_boxes, dtype=torch.bool),
    )
    sample.prompts = Prompts.create(boxes=boxes)
    sample.prompt_targets = torch.arange(num_boxes)
    image = torch.randint(0, 256, (1, 3, size, size), generator=noise).byte()
    return {'inputs': [image], 'data_samples': [sample]}


def peak_memory() -> float:
    """Most memory that this process has used so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure all that was asked for; the last line of standard output is JSON."""
    args = parse_arguments()
    if args.inner:
        print(json_text(measure(args)))
        return
    rows: list[dict[str, Any]] = []
    for variant in args.variants:
        for case in args.cases:
            for attention in args.attention:
                command = [sys.executable, __file__, '--inner', '--variants', variant]
                command += ['--cases', case, '--attention', attention]
                for name in ('size', 'boxes', 'threads', 'repeat', 'warmup'):
                    command += [f'--{name}', str(getattr(args, name))]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                rows.append(json.loads(done.stdout.splitlines()[-1]))
                sys.stderr.write(f'{rows[-1]}\n')
    print(json_text(rows))


if __name__ == '__main__':
    run_main(main)
