"""Measure frames per second, parts, memory and the share of the roofline, beside other models.

A frame is counted from decoded pixels in memory to boolean masks. Weights are random unless a
checkpoint is given. That changes the cost of videos alone, as a memory compares what lies along the
outlines of masks; the number of masks is set by --objects.

Examples:
    python tools/analysis_tools/benchmark.py configs/rap_sam/rap_sam_r50_12e_adaptor.py \
        --size 1080x1920 --threads 2 --compare reference mask2former --out outputs/bench
    python tools/analysis_tools/benchmark.py configs/rap_sam/rap_sam_nano_shapes.py \
        --task vos --size 360x640 --objects 1 4 16 --frames 20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.number_flags import count_flag, frame_size_flag, threads_flag
from seg.utils.writable import check_writable_file

if TYPE_CHECKING:
    from torch import Tensor

    from seg.benchmark.machine import Roofline
    from seg.benchmark.measuring import Plan
    from seg.benchmark.workloads import Workload

TASKS = ('panoptic', 'interactive_image', 'vos', 'interactive_video')
PEERS = ('reference', 'mask2former', 'sam2_tiny', 'efficient_sam', 'sam_vit_b', 'panoptic')
NUM_SEGMENTS = 16  # of the frames beside others


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config of a RapSAM')
    parser.add_argument('--checkpoint', type=Path, help='weights; random by default')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config'
    )
    parser.add_argument('--task', choices=TASKS, default='panoptic')
    parser.add_argument('--size', type=frame_size_flag, default=(1080, 1920), metavar='HxW')
    parser.add_argument('--batch', type=count_flag, default=1, help='frames per step (panoptic)')
    parser.add_argument('--dtype', choices=('fp32', 'bf16', 'fp16'), default='fp32')
    parser.add_argument('--compile', action='store_true', help='network parts by torch.compile')
    parser.add_argument(
        '--allow-fallback', action='store_true', help='go on uncompiled if that fails'
    )
    parser.add_argument(
        '--graph', action='store_true', help='backbone and neck as a CUDA graph (GPU)'
    )
    parser.add_argument('--no-fuse', action='store_true', help='keep normalisations as layers')
    parser.add_argument(
        '--give-back',
        action='store_true',
        help='let freed memory go back to the system, as the C library does it by itself',
    )
    parser.add_argument('--int8', action='store_true', help='linear layers in 8 bits (CPU)')
    parser.add_argument('--device', default='cpu', help='such as cpu (default) or cuda:0')
    parser.add_argument(
        '--threads', type=threads_flag, help='CPU threads; by default those of torch'
    )
    parser.add_argument(
        '--frames', type=count_flag, default=3, help='steps that count (default: 3)'
    )
    parser.add_argument(
        '--warm-up', type=count_flag, default=1, help='steps that do not (default: 1)'
    )
    parser.add_argument(
        '--objects',
        type=count_flag,
        nargs='+',
        default=[16],
        help='segments that are kept, or objects that are prompted (default: 16); several numbers '
        'are measured one after the other',
    )
    parser.add_argument(
        '--compare',
        choices=PEERS,
        nargs='*',
        default=[],
        help=f'models beside, panoptic: the same one with {NUM_SEGMENTS} segments; at the end a '
        'frame of each in turns as well',
    )
    parser.add_argument('--out', type=Path, help='folder for report.json, report.md, report.png')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def check(arguments: argparse.Namespace) -> None:
    """Refuse what does not fit together, before anything heavy is loaded."""
    for ending in () if arguments.out is None else ('json', 'md', 'png'):
        check_writable_file(arguments.out / f'report.{ending}', '--out')
    if arguments.batch > 1 and arguments.task != 'panoptic':
        raise UserError(
            f'--batch: expected 1 for the task {arguments.task}, got {arguments.batch}; videos '
            'and sessions go frame by frame'
        )
    if arguments.batch > 1 and arguments.compare:
        raise UserError(
            f'--batch: expected 1 beside --compare, got {arguments.batch}; the others take a frame '
            'at a time'
        )
    if arguments.int8 and (arguments.dtype != 'fp32' or not arguments.device.startswith('cpu')):
        raise UserError(
            f'--int8: expected --dtype fp32 on a CPU, got {arguments.dtype} on {arguments.device}; '
            'layers in 8 bits take nothing else'
        )
    if arguments.int8 and arguments.compile:
        raise UserError(
            '--int8: expected it without --compile, got both; layers in 8 bits are not compiled'
        )
    if arguments.graph and arguments.device.startswith('cpu'):
        raise UserError(
            f'--graph: expected --device cuda:0 beside it, got {arguments.device}; only CUDA has '
            'graphs'
        )
    if arguments.graph and arguments.compile:
        raise UserError('--graph: expected it without --compile, got both; measure one at a time')
    if arguments.allow_fallback and not arguments.compile:
        raise UserError('--allow-fallback: expected --compile beside it, got none')


def peers(
    arguments: argparse.Namespace, model: Any, plain: Any, backbone: dict[str, Any]
) -> Iterator[Workload]:
    """The other models, built one after the other."""
    from seg.benchmark.peers import peer_builders
    from seg.utils.devices import device_of

    builders = peer_builders(
        plain,
        model.head.num_things,
        device_of(model),
        size=arguments.size,
        backbone=backbone,
        num_objects=arguments.objects[0],
    )
    for name in arguments.compare:
        if name != 'panoptic':
            yield builders[name]()


def own_workloads(arguments: argparse.Namespace, model: Any) -> list[Workload]:
    """The model, once per number of objects, and on panoptic if that is to stand beside."""
    from seg.benchmark.workloads import panoptic_workload

    found = [
        workload
        for num_objects in arguments.objects
        for workload in _of_rapsam(arguments, model, num_objects)
    ]
    if 'panoptic' in arguments.compare:
        name = f'RapSAM, {NUM_SEGMENTS} segments'
        found.append(panoptic_workload(model, arguments.size, 1, NUM_SEGMENTS, name))
    return found


def _of_rapsam(arguments: argparse.Namespace, model: Any, num_objects: int) -> Iterator[Workload]:
    from seg.benchmark import workloads as kinds
    from seg.structures import Task

    task, size = Task.parse(arguments.task), arguments.size
    name = f'RapSAM, {num_objects} {"segments" if task is Task.PANOPTIC else "objects"}'
    if arguments.graph:
        name += ', graph'
    if task is Task.PANOPTIC:
        yield kinds.panoptic_workload(model, size, arguments.batch, num_objects, name)
    elif task is Task.INTERACTIVE_IMAGE:
        yield kinds.interactive_workload(model, size, num_objects, 'encode', 'RapSAM, set_image')
        yield kinds.interactive_workload(model, size, num_objects, 'click', f'{name}, click')
    else:
        kinds.check_memory(model, task)
        yield kinds.video_workload(model, size, num_objects, task, name)
        if model.head.dual_path is not None:
            name += ', all found anew'
            yield kinds.video_workload(model, size, num_objects, task, name, always_again=True)


def measure_all(
    own: Sequence[Workload], others: Iterator[Workload], plan: Plan, roofline: Roofline
) -> dict[str, Any]:
    """Each by itself, and what stands beside something in turns as well."""
    from seg.benchmark.measuring import measure, measure_in_turns

    workloads, results = [], []
    for workload in chain(own, others):
        results.append(measure(workload, plan, roofline))
        workloads.append(workload)
    turns = measure_in_turns(workloads, plan) if len(workloads) > 1 else []
    return {
        'results': results,
        'in_turns': [
            {'name': workload.name, 'seconds': took.wall, 'cpu_seconds': took.cpu}
            for workload, took in zip(workloads, turns, strict=False)
        ],
    }


def main() -> int:
    """Measure and report."""
    arguments = parse_arguments()
    check(arguments)
    import torch

    from seg.apis.loading import choose_device
    from seg.benchmark.agreement import agreement
    from seg.benchmark.building import build_model
    from seg.benchmark.machine import OtherPrograms, describe_machine, measure_roofline
    from seg.benchmark.measuring import (
        DTYPES,
        Plan,
        check_dtype,
        precision,
        telling_what_fits,
    )
    from seg.benchmark.peers import plain_like
    from seg.benchmark.report import render, write_report
    from seg.models.deployment import fuse, graph_features, quantize
    from seg.utils.freed_memory import keep_freed_memory

    other_programs = OtherPrograms()
    if not arguments.give_back:
        keep_freed_memory()
    device = choose_device(arguments.device)
    check_dtype(device, arguments.dtype)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    plan = Plan(
        device,
        arguments.size,
        dtype=arguments.dtype,
        warm_up=arguments.warm_up,
        frames=arguments.frames,
        batch=arguments.batch,
    )
    with telling_what_fits(arguments.config.stem, arguments.size, arguments.batch):
        model, backbone = build_model(
            arguments.config, arguments.checkpoint, device, arguments.cfg_options
        )
        roofline = measure_roofline(device, DTYPES[arguments.dtype])
    num_queries = model.head.object_queries.num_embeddings
    if arguments.task == 'panoptic' and max(arguments.objects) > num_queries:
        raise UserError(
            f'--objects: expected at most {num_queries}, the queries of the model, got '
            f'{max(arguments.objects)}'
        )
    plain = (
        plain_like(model, backbone.get('depth', 50)) if 'reference' in arguments.compare else None
    )
    if not arguments.no_fuse:
        fuse(model)
    if arguments.int8:
        model = quantize(model)
    told = telling_what_fits(arguments.config.stem, arguments.size, arguments.batch)
    with told, torch.inference_mode(), precision(plan):
        compiled = arguments.compile and _compile(arguments, model, device)
        if arguments.graph:
            graph_features(model, _example(arguments, device))
    agreed = None
    if plain is not None:
        with telling_what_fits('the plain reference', arguments.size), precision(plan):
            agreed = agreement(model, plain, arguments.size, arguments.objects[0])
    beside = f'{arguments.config.stem}, or what stands beside it,'
    with telling_what_fits(beside, arguments.size, arguments.batch):
        own = own_workloads(arguments, model)
        others = peers(arguments, model, plain, backbone)
        measured = measure_all(own, others, plan, roofline)
    report = {
        'config': arguments.config.stem,
        'task': arguments.task,
        'size': list(arguments.size),
        'batch': arguments.batch,
        'dtype': arguments.dtype,
        'fused': not arguments.no_fuse,
        'int8': arguments.int8,
        'gives_back': arguments.give_back,
        'compiled': compiled,
        'graph': arguments.graph,
        'machine': describe_machine(device, roofline, other_programs),
        'agreement': agreed,
        **measured,
        'turns_against': own[-1 if 'panoptic' in arguments.compare else 0].name,
    }
    print(render(report))
    if arguments.out is not None:
        write_report(report, arguments.out)
    if arguments.json:
        print(json_text(report))
    return 0


def _compile(arguments: argparse.Namespace, model: Any, device: Any) -> bool:
    from seg.models.deployment import compile_parts

    example = _example(arguments, device)
    return compile_parts(model, example, allow_fallback=arguments.allow_fallback)


def _example(arguments: argparse.Namespace, device: Any) -> Tensor:
    """Normalised frames of the size that is measured."""
    import torch

    height, width = (-(-side // 32) * 32 for side in arguments.size)
    return torch.zeros(arguments.batch, 1, 3, height, width, device=device)


if __name__ == '__main__':
    run_main(main)
