"""Panoptic prediction of whole clips, frame by frame, with ids that stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from seg.models.heads.mask_resizing import PictureSizes, resized_chunks
from seg.models.heads.panoptic_tracker import FoundThings, PanopticTracker, Tracks
from seg.models.routing import Route
from seg.structures import ClipSample, PanopticData, Segment, StageOutput, Tube
from seg.structures.tracks import RunLengths
from seg.utils.devices import HostCopy

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead

MIN_TUBE_SCORE = 0.2
"""Things that are less sure in a frame are no part of a tube there."""

_SAME_THING_IOU = 0.6


@dataclass
class _TrackRecord:
    """What is known about one track in the end."""

    class_probs: Tensor
    num_seen: int = 0
    rles: dict[int, RunLengths] = field(default_factory=dict)


class _FoundQueries(NamedTuple):
    """What the follower reads of Q queries, in main memory.

    Attributes:
        queries: (Q, C), float32.
        class_logits: (Q, K + 1), float32.
        masks: Where each is more likely than not, (Q, h, w), bool.
    """

    queries: Tensor
    class_logits: Tensor
    masks: Tensor


class PanopticFollower:
    """Finds everything in each frame of a clip and follows things from frame to frame.

    Masks of a frame are gone when the next one comes: its id map stays, and the run lengths of
    things. A thing's class is that of the mean over the frames that show it. The network is waited
    for once per frame, for all that is read of it, and ids are found in main memory; where masks
    are kept, also for those.

    Args:
        head: Whose parts are used; without a tracker of its own a plain one follows.
        route: The way of the task.
        sample: The clip.
        keeps: Whether what is found is kept for :meth:`finish`; otherwise memory does not grow
            with the clip.
    """

    def __init__(
        self, head: RapSAMVideoHead, route: Route, sample: ClipSample, *, keeps: bool = True
    ) -> None:
        self.head = head
        self.route = route
        self.sample = sample
        self.keeps = keeps
        self.tracker: PanopticTracker = head.panoptic_tracker or PanopticTracker(
            head.num_things, head.num_stuff
        )
        self.tracks: Tracks | None = None
        self._maps: list[Tensor] = []
        self._records: dict[int, _TrackRecord] = {}
        self._stuff: dict[int, tuple[int, float]] = {}  # label -> (id, best score)

    def step(self, mask_features: Tensor, context_feats: Tensor | None) -> PanopticData:
        """Go on by one frame, (1, 1, C, h, w) and (1, 1, C, h', w') or ``None``.

        Returns:
            The frame's map, with the ids of the clip and the classes so far.
        """
        output = self.head(mask_features, context_feats, self.route)[-1]
        sizes = self.head.picture_sizes(self.sample, mask_features[0])
        class_logits, mask_logits = _class_logits(output)[0], output.mask_logits[0]
        seen = output.queries[0].float(), class_logits.float(), mask_logits[:, 0] > 0
        found = self.head.fusion.find(class_logits, mask_logits, sizes, also=seen, on_host=True)
        queries = _FoundQueries(*map(torch.from_numpy, found.brought))
        rows = self._thing_rows(queries, [i for i, s in enumerate(found.segment_of) if s])
        ids = self._follow(queries, rows, mask_logits, sizes)
        id_of = dict(zip(rows.tolist(), ids.tolist(), strict=True))
        table = torch.zeros(len(found.data.segments) + 1, dtype=torch.int32)
        for query, segment in enumerate(found.segment_of):
            if segment:
                kind = found.data.segments[segment - 1]
                table[segment] = id_of[query] if query in id_of else self._stuff_id(kind)
        current = table[found.data.segment_map[0].long()]
        if self.keeps:
            self._maps.append(current)
        shown = set(table[1:].tolist())
        segments = [segment for segment in self._segments() if segment.id in shown]
        return PanopticData(current[None], segments)

    def finish(self) -> None:
        """Write ``pred_panoptic`` and ``pred_tubes`` into the sample."""
        segments = self._segments()
        shown = set(torch.stack(self._maps).unique().tolist())
        self.sample.pred_panoptic = PanopticData(
            torch.stack(self._maps), [segment for segment in segments if segment.id in shown]
        )
        self.sample.pred_tubes = self._tubes()

    def _thing_rows(self, found: _FoundQueries, owners: list[int]) -> Tensor:
        """Queries of things: those with a segment, and others that are no copies of them."""
        probs = found.class_logits.softmax(dim=-1)[:, : self.tracker.num_classes]
        scores, labels = probs.max(dim=-1)
        is_thing = labels < self.tracker.num_things
        chosen = [row for row in owners if bool(is_thing[row])]
        inside = found.masks.flatten(1).float()
        for row in scores.argsort(descending=True).tolist():
            if not bool(is_thing[row]) or float(scores[row]) < MIN_TUBE_SCORE or row in chosen:
                continue
            overlap = inside[chosen] @ inside[row]
            union = inside[chosen].sum(dim=1) + inside[row].sum() - overlap
            if not bool((overlap > _SAME_THING_IOU * union).any()) and bool(inside[row].any()):
                chosen.append(row)
        return torch.tensor(chosen, dtype=torch.int64)

    def _follow(
        self, found: _FoundQueries, rows: Tensor, mask_logits: Tensor, sizes: PictureSizes
    ) -> Tensor:
        """Ids of things, and what is noted of them."""
        probs = found.class_logits[rows].softmax(dim=-1)[:, : self.tracker.num_things]
        things = FoundThings(found.queries[rows], probs, found.masks[rows].float())
        if self.tracks is None:
            self.tracks = self.tracker.start(things.queries, things.masks)
        self.tracks, ids = self.tracker(self.tracks, things)
        frame = len(self._maps)
        for track, seen in zip(ids.tolist(), probs, strict=True):
            record = self._records.setdefault(track, _TrackRecord(torch.zeros_like(seen)))
            record.class_probs += seen
            record.num_seen += 1
        if not self.keeps:
            current = set(self.tracks.ids.tolist())
            self._records = {i: record for i, record in self._records.items() if i in current}
            return ids + len(self._stuff_labels())
        for part, logits in resized_chunks(mask_logits[rows], sizes):
            (masks,) = HostCopy(logits[:, 0] > 0).wait()
            for track, mask in zip(ids[part].tolist(), masks, strict=True):
                if mask.any():
                    self._records[track].rles[frame] = _encode(mask)
        return ids + len(self._stuff_labels())

    def _stuff_labels(self) -> range:
        """Stuff classes; their ids are 1, 2, ..., before those of things."""
        return range(self.tracker.num_things, self.tracker.num_classes)

    def _stuff_id(self, segment: Segment) -> int:
        number = segment.label - self.tracker.num_things + 1
        best = max(segment.score, self._stuff.get(segment.label, (0, 0.0))[1])
        self._stuff[segment.label] = (number, best)
        return number

    def _segments(self) -> list[Segment]:
        """All segments so far."""
        segments = [Segment(i, label, False, s) for label, (i, s) in self._stuff.items()]
        offset = len(self._stuff_labels())
        for track, record in self._records.items():
            mean = record.class_probs / record.num_seen
            score, label = mean.max(dim=0)
            segments.append(Segment(track + offset, int(label), True, min(float(score), 1.0)))
        return segments

    def _tubes(self) -> list[Tube]:
        """One tube for each thing, scored by the mean probability of its class over the clip."""
        tubes, count = [], len(self._maps)
        for record in self._records.values():
            if not record.rles:
                continue
            score, label = (record.class_probs / record.num_seen).max(dim=0)
            seen = record.num_seen / (record.num_seen + 1)  # one sight alone is a weak sign
            rles = tuple(record.rles.get(frame) for frame in range(count))
            tubes.append(Tube(int(label), min(float(score) * seen, 1.0), rles))
        return sorted(tubes, key=lambda tube: -tube.score)


def _class_logits(output: StageOutput) -> Tensor:
    assert output.class_logits is not None, 'found objects need class logits'
    return output.class_logits


def _encode(mask: np.ndarray) -> RunLengths:
    """Run lengths of a mask (H, W), bool."""
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
