"""The streaming memory: objects carried from frame to frame at a constant cost."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.layers import mlp
from seg.models.memory.memory_bank import MemoryBank
from seg.models.memory.memory_reader import FrameKeys, MemoryReader, ProposedMasks
from seg.models.memory.memory_state import MemoryState
from seg.models.memory.object_memory import ObjectMemory
from seg.registry import MODELS

NUM_SIGNS = 6
_LEAST_AREA = 0.5  # cells


class MemoryReadout(NamedTuple):
    """What a memory says about its N objects in the next frame.

    Attributes:
        masks: Where they should be.
        contents: To add to their queries, (N, C).
        searched: Logits of where each object is by its looks as a whole, (N, h, w).
        areas: How large each object was, cells of mask features, (N,): on the last frame, or, if
            it was out of sight there, on the remembered ones.
        known: Which objects are remembered at all, (N,), bool.
    """

    masks: ProposedMasks
    contents: Tensor
    searched: Tensor
    areas: Tensor
    known: Tensor


class ExpectedObjects(NamedTuple):
    """What Q masks are judged by, see :meth:`StreamingMemoryAdapter.score`.

    Attributes:
        proposed: What the decoder started from, (Q, h, w), in [0, 1].
        last: The object's last mask, (Q, h, w), in [0, 1]; zero where it was not seen.
        searched: Logits of where the object is by its looks, (Q, h, w).
        areas: How large it was, cells, (Q,).
    """

    proposed: Tensor
    last: Tensor
    searched: Tensor
    areas: Tensor


class SeenObjects(NamedTuple):
    """What was found of N objects on one frame, to be remembered.

    Attributes:
        masks: (N, h, w), in [0, 1].
        queries: (N, C).
        quality: (N,), in [0, 1].
        visible: Which of them are to be seen; the others write nothing, (N,), bool.
        prompted: Which of them the user prompted on this frame, (N,), bool.
    """

    masks: Tensor
    queries: Tensor
    quality: Tensor
    visible: Tensor
    prompted: Tensor


@MODELS.register_module()
class StreamingMemoryAdapter(BaseModule):
    """Remembers objects of a video of any length in a bounded :class:`MemoryState`.

    Short-term memory are the last frames, long-term memory key frames chosen by strategy. An
    object that is not visible writes nothing and may return. The network holds no state.

    Args:
        feat_channels: Width C.
        long_mem_size: Key frames.
        short_mem_size: Last frames.
        update_strategy: Which key frame goes when there are too many: ``'fifo'`` the oldest,
            ``'quality'`` the one with the poorest masks (predicted IoU x stability x visibility),
            ``'adaptive'`` the one that is poor or shows what others show as well.
        visible_score: Score that an object has to exceed to count as visible, in [0, 1).
        return_score: The same for one that was out of sight on the frame before. Lower, as scores
            of what comes back are lower: little of it shows at first, and not where it was.
        reader: Settings of :class:`MemoryReader`.
        objects: Settings of :class:`ObjectMemory`.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(
        self,
        feat_channels: int = 256,
        long_mem_size: int = 10,
        short_mem_size: int = 5,
        update_strategy: str = 'fifo',
        *,
        visible_score: float = 0.5,
        return_score: float = 0.2,
        reader: dict | None = None,
        objects: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        for name, score in (('visible_score', visible_score), ('return_score', return_score)):
            if not 0 <= score < 1:
                raise ValueError(
                    f'StreamingMemoryAdapter.{name}: expected a number in [0, 1), got {score}'
                )
        self.feat_channels = feat_channels
        self.visible_score = visible_score
        self.return_score = return_score
        self.bank = MemoryBank(short_mem_size, long_mem_size, update_strategy)
        width = dict(feat_channels=feat_channels)
        self.reader: MemoryReader = MODELS.build({'type': MemoryReader, **width, **(reader or {})})
        self.objects: ObjectMemory = MODELS.build(
            {'type': ObjectMemory, **width, **(objects or {})}
        )
        self.score_mlp = mlp(feat_channels + NUM_SIGNS, feat_channels, 1, num_layers=2)
        last = self.score_mlp[-1]
        assert isinstance(last, nn.Linear), 'the last layer of an mlp is linear'
        nn.init.constant_(last.bias, 2.0)  # objects are mostly visible

    def start(self, mask_features: Tensor) -> MemoryState:
        """An empty memory for clips whose mask features are (..., C, h, w)."""
        height, width = mask_features.shape[-2:]
        return MemoryState.empty(
            self.reader.key_size((height, width)),
            (height, width),
            key_channels=self.reader.key_channels,
            feat_channels=self.feat_channels,
            device=mask_features.device,
        )

    def encode(self, mask_features: Tensor) -> FrameKeys:
        """Keys of frames (B, C, h, w)."""
        return self.reader.encode(mask_features)

    def read(
        self, state: MemoryState, keys: FrameKeys, mask_features: Tensor
    ) -> MemoryReadout | None:
        """What is remembered, seen in a new frame; ``None`` if nothing is.

        Args:
            state: The memory.
            keys: Of the frame, without the axis B.
            mask_features: Of the frame, (C, h, w).
        """
        if not state.num_frames or not state.num_objects:
            return None
        masks = self.reader(state, keys)
        wholes = self.objects.read(state)
        searched = wholes.search(mask_features)
        # Too few pixels are remembered of small things to be voted for once they are out of sight.
        # The search has a loss of its own: from these masks it would learn to keep still.
        lost = _are_lost(state)
        either = torch.maximum(masks.propagated, searched.detach().sigmoid())
        masks = masks._replace(
            propagated=torch.where(lost[:, None, None], either, masks.propagated)
        )
        areas = torch.where(
            lost, self._remembered_areas(state), state.last_masks.flatten(1).sum(dim=1)
        )
        return MemoryReadout(masks, wholes.contents, searched, areas, state.known)

    def find_again(
        self,
        state: MemoryState,
        keys: FrameKeys,
        readout: MemoryReadout,
        prompted_frames: Tensor | None = None,
    ) -> Tensor:
        """Where objects are by their looks alone, (N, h, w), in [0, 1].

        Args:
            state: The memory.
            keys: Of the frame, without the axis B.
            readout: What :meth:`read` said about it.
            prompted_frames: See :meth:`MemoryReader.find_again`.
        """
        found = readout.searched.detach().sigmoid()
        again = self.reader.find_again(state, keys, prompted_frames)
        return torch.where(_are_lost(state)[:, None, None], found, again)

    def _remembered_areas(self, state: MemoryState) -> Tensor:
        """Mean area of each object over the frames that show it, cells of mask features, (N,)."""
        shares = state.covers.flatten(2).mean(dim=2) * state.written  # (F, N)
        mean = shares.sum(dim=0) / state.written.sum(dim=0).clamp(min=1)
        return mean * state.last_masks.shape[-2:].numel()

    def score(self, queries: Tensor, mask_logits: Tensor, expected: ExpectedObjects) -> Tensor:
        """Logit of each mask being its object, (Q,), from the query and six signs.

        Args:
            queries: (Q, C).
            mask_logits: (Q, h, w).
            expected: What is known of the objects.
        """
        probs = mask_logits.detach().float().sigmoid()
        is_inside = probs > 0.5
        inside, count = probs * is_inside, is_inside.flatten(1).sum(dim=1).clamp(min=1)
        area = inside.flatten(1).sum(dim=1)
        looks = expected.searched.detach().sigmoid() * is_inside
        # Sure inside; as large as remembered; where it was proposed; where it was; looks like it;
        # was in sight.
        signs = [
            area / count,
            (area + 1).log() - (expected.areas + 1).log(),
            _soft_iou(probs, expected.proposed.detach()),
            _soft_iou(probs, expected.last.detach()),
            looks.flatten(1).sum(dim=1) / count,
            expected.last.flatten(1).any(dim=1).float(),
        ]
        seen = torch.cat([queries.float(), torch.stack(signs, dim=-1)], dim=-1)
        return self.score_mlp(seen).squeeze(-1)

    def write(
        self,
        state: MemoryState,
        keys: FrameKeys,
        seen: SeenObjects,
        mask_features: Tensor,
        *,
        is_prompted: bool = True,
    ) -> MemoryState:
        """Remember a frame, and forget another where there are too many.

        Args:
            state: The memory before the frame.
            keys: Of the frame, without the axis B.
            seen: What was found on it, one row per slot.
            mask_features: (C, h, w).
            is_prompted: Whether the user may have prompted an object on the frame; then the device
                is waited for.
        """
        after, row = self.observe(state, keys, seen, mask_features)
        if not after.num_objects:
            return after
        after = after.with_frame(row)
        if is_prompted:
            after = after.with_firsts_counted()
        kept = self.bank.kept(after)
        return after if len(kept) == after.num_frames else after.keep_frames(kept)

    def observe(
        self, state: MemoryState, keys: FrameKeys, seen: SeenObjects, mask_features: Tensor
    ) -> tuple[MemoryState, dict[str, Tensor]]:
        """What a frame brings, before it is put among the remembered ones.

        Arguments are those of :meth:`write`.

        Returns:
            The memory after the frame without the frame itself, and the frame's row of every
            tensor that has one per frame.
        """
        visible = seen.visible & (seen.masks.flatten(1).sum(dim=1) > _LEAST_AREA)
        masks = seen.masks * visible[:, None, None]
        after = replace(
            state,
            num_seen=state.num_seen + 1,
            last_key=keys.fine,
            last_masks=masks,
            queries=torch.where(visible.unsqueeze(-1), seen.queries.float(), state.queries),
        )
        row = {
            'frame_index': state.num_seen,
            'keys': keys.coarse,
            'covers': self.reader.cover(masks),
            'tokens': self.objects.describe(masks, seen.queries, mask_features)
            * visible.unsqueeze(-1),
            'written': visible,
            'prompted': seen.prompted & visible,
            'quality': seen.quality.detach() * visible,
        }
        return after, row


def _are_lost(state: MemoryState) -> Tensor:
    """Which objects were out of sight on the last frame, (N,), bool."""
    return ~state.last_masks.flatten(1).any(dim=1)


def mask_stability(mask_logits: Tensor, offset: float = 1.0) -> Tensor:
    """How little masks change with the threshold: IoU of those at plus and minus ``offset``, (N,).

    Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix B (automatic masks).

    Args:
        mask_logits: (N, h, w).
        offset: Logits.
    """
    flat = mask_logits.flatten(1)
    return (flat > offset).sum(dim=1) / (flat > -offset).sum(dim=1).clamp(min=1)


def _soft_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of soft masks (Q, h, w), (Q,)."""
    overlap = torch.minimum(first, second).flatten(1).sum(dim=1)
    return overlap / torch.maximum(first, second).flatten(1).sum(dim=1).clamp(min=1e-3)
