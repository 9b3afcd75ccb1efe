"""Measure whether a teacher helps: a student alone, with each kind of distillation, and with all.

Everything is small: Shapes in COCO format, boxes, a teacher that is trained first on all training
images, and students that are trained on some of them. All students start from the same weights,
which were trained on those images without a teacher, and get the same budget and, for a seed, the
same batches. What is done is kept in OUT, so the same command goes on after a stop; other settings
need another folder.

Example:
    python tools/analysis_tools/distillation_table.py --out work_dirs/distillation
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

MASKS = [dict(type='MaskDistillation', min_teacher_iou=0.5)]
FEATURES = [
    dict(type='DecoderFeatureDistillation'),
    dict(type='BlockFeatureDistillation', blocks=[(2, 5)]),
]
ATTENTION = [
    dict(type='DecoderAttentionDistillation'),
    dict(type='EncoderAttentionDistillation', blocks=[(2, 5)]),
]
KINDS: dict[str, list[dict[str, Any]]] = {
    'none': [],
    'masks': MASKS,
    'features': FEATURES,
    'attention': ATTENTION,
    'all': MASKS + FEATURES + ATTENTION,
}
FREE = ('out', 'kinds', 'seeds', 'minutes')  # what may differ when a folder is continued


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of data and results')
    parser.add_argument('--kinds', nargs='+', default=list(KINDS), choices=KINDS)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--iters', type=int, default=200, help='of a student')
    parser.add_argument('--teacher-iters', type=int, default=1000)
    parser.add_argument(
        '--start-iters', type=int, default=400, help='before students part; 0: from random weights'
    )
    parser.add_argument('--images', type=int, default=200, help='training images of the teacher')
    parser.add_argument('--student-images', type=int, default=48, help='those of a student')
    parser.add_argument('--val-images', type=int, default=60)
    parser.add_argument('--canvas', type=int, default=96, help='side, pixels')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--temperature', type=float, default=2.0)
    parser.add_argument('--teacher-weight', type=float, default=1.0)
    parser.add_argument(
        '--inner-weight', type=float, default=1.0, help='of features and attention, beside masks'
    )
    parser.add_argument('--minutes', type=float, help='start nothing new after so long')
    return parser.parse_args()


def read_images(args: argparse.Namespace, split: str, count: int, steps: list[Any]) -> list[Any]:
    """Images in memory, after some steps of a pipeline; written once."""
    from seg.datasets import CocoInstanceDataset
    from seg.datasets.converters import WRITERS, write_shapes

    root = args.out / 'shapes_coco'
    if not root.is_dir():
        for _ in write_shapes(WRITERS['coco_instance'], root, args.images):
            pass
    dataset = CocoInstanceDataset(
        ann_file=root / f'annotations/instances_{split}2017.json',
        img_dir=root / f'{split}2017',
        task='interactive_image',
        pipeline=steps,
        test_mode=split == 'val',
    )
    return [dataset[index] for index in range(min(count, len(dataset)))]


def model_config(variant: str, canvas: int) -> dict[str, Any]:
    """An EfficientSAM that is trained as a whole for boxes."""
    return dict(
        type='EfficientSamSegmentor',
        variant=variant,
        image_size=canvas,
        strategy=dict(type='TrainAll'),
        ranking='single',
        criterion=dict(mask_losses=[dict(type='MaskDiceLoss'), dict(type='MaskBCELoss')]),
    )


def train(model: Any, images: list[Any], args: argparse.Namespace, iters: int, seed: int) -> None:
    """Train with batches that depend on the seed alone."""
    import numpy as np
    import torch

    from seg.datasets.transforms import ClipFlip, PackClip, RandomSegmentPrompts
    from seg.models.losses import Steered

    steps = [ClipFlip(), RandomSegmentPrompts(mode='box', max_prompts=6, min_area=16), PackClip()]
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(
        [value for value in model.parameters() if value.requires_grad], lr=1e-3, weight_decay=0.01
    )
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_cosine(iters))
    for iteration in range(iters):
        chosen = rng.choice(len(images), args.batch_size, replace=False)
        items = [dict(images[i], rng=np.random.default_rng(rng.integers(1 << 31))) for i in chosen]
        for step in steps:
            items = [step(item) for item in items]
        batch = {name: [item[name] for item in items] for name in ('inputs', 'data_samples')}
        for module in model.modules():
            if isinstance(module, Steered):
                module.begin_step(iteration / iters)
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()


def warm_cosine(iters: int) -> Callable[[int], float]:
    """Factors of the rate: up over a twentieth of the iterations, then down."""
    iters = max(1, iters)
    return lambda i: min(1.0, 20 * (i + 1) / iters) * (1 + math.cos(math.pi * i / iters)) / 2


def score(model: Any, samples: list[Any]) -> dict[str, float]:
    """Mean IoU and F1 (Dice per object) of tight boxes, percent."""
    import torch

    from seg.evaluation.metrics import PromptSegMetric

    model.eval()
    metric = PromptSegMetric()
    with torch.no_grad():
        for item in samples:
            batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples'].clone()])
            metric.process(None, [found.to_dict() for found in model.test_step(batch)])
    found = metric.compute_metrics(metric.results)
    return {'mIoU': round(found['IoU'], 3), 'F1': round(found['Dice'], 3)}


def trained(
    args: argparse.Namespace, role: str, images: list[Any], val: list[Any]
) -> dict[str, Any]:
    """Weights and scores of the teacher or of what students start from, trained when missing."""
    import torch

    from seg.registry import MODELS
    from seg.utils.checkpoints import read_checkpoint, write_checkpoint

    variant, iters, seed = {
        'teacher': ('small', args.teacher_iters, 100),
        'start': ('tiny', args.start_iters, 200),
    }[role]
    file = args.out / f'{role}.pth'
    if not file.is_file():
        torch.manual_seed(seed)
        model = MODELS.build(model_config(variant, args.canvas)).train()
        begin = time.process_time()
        train(model, images, args, iters, seed)
        found = score(model, val) | {'cpu_seconds': round(time.process_time() - begin, 1)}
        write_checkpoint(file, {'state_dict': model.state_dict(), 'scores': found})
        sys.stderr.write(f'{role}: {found}\n')
    return read_checkpoint(file)


def student_row(
    args: argparse.Namespace, kind: str, seed: int, weights: dict[str, Any], data: tuple[Any, Any]
) -> dict[str, Any]:
    """Train and score one student."""
    import torch

    from seg.registry import MODELS

    torch.manual_seed(seed)
    config = model_config('tiny', args.canvas)
    start = time.process_time()
    if kind != 'none':
        config = dict(
            type='Distiller',
            student=config,
            teacher=model_config('small', args.canvas),
            parts=parts_of(kind, args.inner_weight),
            schedule=dict(
                temperature=args.temperature, label_weight=1.0, teacher_weight=args.teacher_weight
            ),
        )
    model = MODELS.build(config)
    student = model if kind == 'none' else model.student
    student.load_state_dict(weights['start']['state_dict'])
    if kind != 'none':
        model.teacher.load_state_dict(weights['teacher']['state_dict'])
    train(model.train(), data[0], args, args.iters, seed)
    seconds = round(time.process_time() - start, 1)
    return {'kind': kind, 'seed': seed, **score(model, data[1]), 'cpu_seconds': seconds}


def parts_of(kind: str, inner_weight: float) -> list[dict[str, Any]]:
    """What is taught, features and attention with their own weight."""
    return [part if part in MASKS else dict(part, weight=inner_weight) for part in KINDS[kind]]


def keep_settings(args: argparse.Namespace) -> None:
    """Write down what the numbers of a folder depend on.

    Raises:
        ValueError: If the folder was made with other settings.
    """
    from seg.utils.atomic_write import write_bytes_atomically

    args.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in vars(args).items() if name not in FREE}
    file = args.out / 'settings.json'
    kept = json.loads(file.read_bytes()) if file.is_file() else settings
    other = [
        f'--{name.replace("_", "-")} {kept.get(name)}'
        for name in settings
        if kept.get(name) != settings[name]
    ]
    if other:
        raise ValueError(
            f'--out {args.out}: expected the settings that its numbers were made with, '
            f'{", ".join(other)}, got others; repeat those or choose another folder'
        )
    write_bytes_atomically(file, json.dumps(settings).encode())


def table(rows: list[dict[str, Any]], kinds: list[str]) -> str:
    """Means and standard deviations over the seeds."""
    lines = ['| kind | seeds | mIoU | F1 | CPU seconds |', '|---|---|---|---|---|']
    for kind in kinds:
        own = [row for row in rows if row['kind'] == kind]
        if not own:
            continue
        cells = []
        for name in ('mIoU', 'F1'):
            values = [row[name] for row in own]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f'{statistics.mean(values):.1f} ± {spread:.1f}')
        seconds = statistics.mean(row['cpu_seconds'] for row in own)
        lines.append(f'| {kind} | {len(own)} | {" | ".join(cells)} | {seconds:.0f} |')
    return '\n'.join(lines)


def main() -> None:
    """Do what is not done yet; the last line of standard output is JSON."""
    args = parse_arguments()
    keep_settings(args)
    import torch

    import seg.models.detectors  # noqa: F401
    from seg.datasets.transforms import ClipResize, FixedSegmentPrompts, PackClip, TestResize
    from seg.utils.atomic_write import write_bytes_atomically

    torch.set_num_threads(1)
    begin = time.monotonic()
    canvas = (args.canvas, args.canvas)
    images = read_images(args, 'train', args.images, [ClipResize(canvas, keep_ratio=False)])
    steps = [FixedSegmentPrompts(min_area=16), TestResize(canvas, keep_ratio=False), PackClip()]
    val = read_images(args, 'val', args.val_images, steps)
    few = images[: args.student_images]
    weights = {'teacher': trained(args, 'teacher', images, val)}
    weights['start'] = trained(args, 'start', few, val)
    file = args.out / 'rows.json'
    rows: list[dict[str, Any]] = json.loads(file.read_bytes()) if file.is_file() else []
    for seed in range(args.seeds):
        for kind in args.kinds:
            done = any(row['kind'] == kind and row['seed'] == seed for row in rows)
            late = args.minutes and (time.monotonic() - begin) / 60 > args.minutes
            if done or late:
                continue
            rows.append(student_row(args, kind, seed, weights, (few, val)))
            sys.stderr.write(f'{rows[-1]}\n')
            write_bytes_atomically(file, json.dumps(rows).encode())
    print(table(rows, args.kinds))
    scores = {role: content['scores'] for role, content in weights.items()}
    print(json_text({**scores, 'students': rows}))


if __name__ == '__main__':
    run_main(main)
