"""Measure what a training step of SAM costs: parameters, memory and time, per strategy.

Weights are random and images are noise, which costs the same. Every measurement runs in a process
of its own, so that memory is that of one strategy. On a machine that others use too, compare
``cpu_seconds``.

Example:
    python tools/analysis_tools/sam_strategies.py --variant vit_b --strategies decoder lora
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

STRATEGIES: dict[str, dict[str, Any]] = {
    'decoder': dict(type='TrainDecoder'),
    'cached': dict(type='TrainDecoder'),
    'full': dict(type='TrainAll'),
    'lora': dict(type='TrainLora'),
    'lora_late': dict(type='TrainLora', first_block=8),
    'adapter': dict(type='TrainAdapters'),
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--variant', default='vit_b', help='vit_b, vit_l, vit_h or tiny')
    parser.add_argument('--strategies', nargs='+', default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument('--prompts', type=int, nargs='+', default=[1], help='boxes per image')
    parser.add_argument('--repeat', type=int, default=2, help='steps; the fastest counts')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--inner', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Steps of one strategy with every number of prompts, in this process."""
    import torch

    from seg.models.peft.delta import frozen_names
    from seg.registry import MODELS

    (name,) = args.strategies
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        cache = dict(type='EmbeddingCache', folder=folder) if name == 'cached' else None
        model = MODELS.build(
            dict(
                type='SamSegmentor',
                variant=args.variant,
                strategy=STRATEGIES[name],
                embedding_cache=cache,
            )
        )
        model = model.to(args.device).train()
        frozen = set(frozen_names(model))
        state = model.state_dict()
        kept = sum(v.numel() * v.element_size() for k, v in state.items() if k not in frozen)
        trained = [value for value in model.parameters() if value.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-5)
        rows = []
        for num_prompts in args.prompts:
            seconds, cpu_seconds, loss = time_steps(model, optimizer, num_prompts, args.repeat)
            rows.append(
                {
                    'strategy': name,
                    'prompts': num_prompts,
                    'trained_parameters': sum(value.numel() for value in trained),
                    'checkpoint_mb': round(kept / 1e6, 1),
                    'seconds': round(seconds, 2),
                    'cpu_seconds': round(cpu_seconds, 2),
                    'peak_gib': round(peak_memory(args.device), 2),
                    'loss': round(loss, 5),
                }
            )
    return rows


def time_steps(
    model: Any, optimizer: Any, num_prompts: int, repeat: int
) -> tuple[float, float, float]:
    """Steps after one to warm up: least seconds, least CPU seconds of all threads, first loss."""
    import torch

    walls, cpus, first = [], [], 0.0
    for step in range(repeat + 1):
        batch = make_batch(model.image_size, num_prompts)
        wall, cpu = time.perf_counter(), time.process_time()
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        first = float(loss.detach()) if step == 0 else first
    return min(walls[1:]), min(cpus[1:]), first


def make_batch(size: int, num_prompts: int) -> dict[str, Any]:
    """One image of noise with some boxes."""
    import torch
    from mmengine.structures import InstanceData

    from seg.structures import ClipSample, Prompts

    noise = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 256, (1, 3, size, size), generator=noise).byte()
    corners = torch.rand(num_prompts, 2, generator=noise) * size * 0.6
    boxes = torch.cat([corners, corners + size * 0.3], dim=1).round()
    masks = torch.zeros(num_prompts, 1, size, size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.long().tolist(), strict=True):
        mask[0, y0:y1, x0:x1] = True
    meta = dict(task='interactive_image', img_shape=(size, size), image_key='noise')
    sample = ClipSample(metainfo=meta)
    sample.gt_segments = InstanceData(
        masks=masks,
        labels=torch.zeros(num_prompts, dtype=torch.long),
        object_ids=torch.arange(num_prompts),
        is_crowd=torch.zeros(num_prompts, dtype=torch.bool),
    )
    sample.prompts = Prompts.create(boxes=boxes)
    sample.prompt_targets = torch.arange(num_prompts)
    return {'inputs': [clip], 'data_samples': [sample]}


def peak_memory(device: str) -> float:
    """Most memory used so far, GiB: of the GPU, or of the process."""
    import torch

    if device.startswith('cuda'):
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure all that was asked for; the last line of standard output is JSON."""
    args = parse_arguments()
    if args.inner:
        print(json_text(measure(args)))
        return
    rows: list[dict[str, Any]] = []
    for name in args.strategies:
        command = [sys.executable, __file__, '--inner', '--variant', args.variant]
        command += ['--strategies', name, '--repeat', str(args.repeat), '--device', args.device]
        command += ['--prompts', *map(str, args.prompts)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows += json.loads(done.stdout.splitlines()[-1])
        sys.stderr.write(f'{rows[-1]}\n')
    print(json_text(rows))


if __name__ == '__main__':
    run_main(main)
