"""Steps that made following objects fast, by the small model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.benchmark.bench_step import Bench, Step, inputs_of
from seg.models.heads.clip_following import IdMap
from seg.models.heads.clip_frame import Frame
from seg.models.heads.clip_step import ClipStep
from seg.models.memory import MemoryState
from seg.models.memory.pixel_pairs import PixelPairs
from seg.models.pixelwise import sum_pixels
from seg.models.windows import largest_in_windows
from seg.structures import Prompts, Task
from seg.utils.drawn_frames import draw_frame

_NUM_MASKS = 16


@torch.inference_mode()
def memory_steps(bench: Bench) -> Iterator[Step]:
    """Of a frame with one object whose memory is full."""
    head = bench.small.head
    frame = _frame(bench)
    state = _full_memory(bench, frame)
    step = ClipStep(head, head.router.routes[Task.VOS])
    certain = head.dual_path.certain

    def follow(doubted: bool) -> Tensor:
        before = replace(state, doubted=torch.full_like(state.doubted, doubted))
        head.dual_path.certain = 1.0
        try:
            answer, _ = step([before], frame, [None])
        finally:
            head.dual_path.certain = certain
        return answer.mask_logits

    yield Step(
        'both_paths',
        'an object doubted before takes both paths at once, without backbone and neck',
        lambda: follow(doubted=False),
        lambda: follow(doubted=True),
    )
    memory = head.memory
    pairs = memory.reader._nearby(state, memory.encode(frame.mask_features[:, 0]).coarse[0])
    count = memory.reader.top_k
    yield Step(
        'largest',
        f'the {count} remembered pixels most like each of the frame: groups of groups, partitions',
        lambda: (pairs.here @ pairs.there.T).topk(count, dim=1).values,
        lambda: _sorted_largest(pairs, count),
    )
    height, width = frame.mask_features.shape[-2:]
    masks = torch.rand(_NUM_MASKS, height, width, device=bench.device)
    side = 2 * memory.objects.ring + 1
    yield Step(
        'windows',
        f'{_NUM_MASKS} masks made larger by maxima of whole maps',
        lambda: F.max_pool2d(masks, side, stride=1, padding=side // 2),
        lambda: largest_in_windows(masks, side, side // 2),
    )
    features = frame.mask_features[0]
    yield Step(
        'summed',
        'features under two masks summed row by row',
        lambda: masks[None, :2].flatten(2) @ features.flatten(2).transpose(1, 2),
        lambda: sum_pixels(masks[None, :2], features),
    )
    drawn = torch.from_numpy(draw_frame(0, 1, bench.size)[1]).to(bench.device)
    logits, ids = 16 * drawn[None].float() - 8, drawn.new_ones(1)
    yield Step(
        'labelled',
        'the pixels of one object labelled, without the place of the largest of one',
        lambda: _label_at_once(logits, ids),
        lambda: _label_in_turn(logits, ids),
        alike=lambda first, second: float((first != second).float().mean()),
    )


def _label_at_once(logits: Tensor, ids: Tensor) -> Tensor:
    value, winner = logits.max(dim=0)
    return torch.where(value > 0, ids[winner], 0)


def _label_in_turn(logits: Tensor, ids: Tensor) -> Tensor:
    drawn = IdMap((logits.shape[1], logits.shape[2]), logits.device)
    drawn.add(ids, logits)
    return drawn.ids


def _sorted_largest(pairs: PixelPairs, count: int) -> Tensor:
    return pairs.largest(count)[0].sort(dim=0, descending=True).values.T


def _frame(bench: Bench) -> Frame:
    inputs = inputs_of(bench.small, draw_frame(0, 1, bench.size)[0])
    mask_features, context_feats = bench.small.extract_feat(inputs)
    canvas = (inputs.shape[-2], inputs.shape[-1])
    return Frame(mask_features, context_feats, canvas, [bench.size])


def _full_memory(bench: Bench, frame: Frame) -> MemoryState:
    """What is remembered after as many frames as there is room for."""
    head = bench.small.head
    step = ClipStep(head, head.router.routes[Task.VOS])
    states = [head.memory.start(frame.mask_features)]
    mask = torch.zeros(1, *frame.canvas, device=bench.device)
    given = torch.from_numpy(draw_frame(0, 1, bench.size)[1] == 1)
    mask[0, : given.shape[0], : given.shape[1]] = given
    prompts: Prompts | None = Prompts.create(masks=mask)
    bank = head.memory.bank
    for _ in range(bank.short_mem_size + bank.long_mem_size + 2):
        _, states = step(states, frame, [prompts])
        prompts = None
    return states[0]
