"""Where remembered objects are in a new frame, found pixel by pixel."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.memory.memory_state import MemoryState
from seg.models.memory.pixel_pairs import NEVER, PixelPairs
from seg.models.pixelwise import pointwise
from seg.models.tiles import TileCut, missing_for_tiles, places_of, tile_side
from seg.models.windows import largest_in_windows
from seg.registry import MODELS
from seg.utils.constants import made_once
from seg.utils.devices import runs_ahead

_INITIAL_SCALE = 16.0  # of cosines
_LEAST_MASS = 1e-4
_LEAST_SHARE = 0.25  # of an object in a pixel of it, and of what is around it in a pixel of that


class FrameKeys(NamedTuple):
    """What the pixels of B frames look like, unit vectors of K channels.

    Attributes:
        coarse: (B, K, h', w') at the memory's stride.
        fine: (B, K, h, w) at that of the mask features.
    """

    coarse: Tensor
    fine: Tensor

    def of_clip(self, index: int) -> FrameKeys:
        """The keys of one clip's frame, (K, h', w') and (K, h, w)."""
        return FrameKeys(self.coarse[index], self.fine[index])


class ProposedMasks(NamedTuple):
    """Where objects should be in the new frame, (N, h, w) each, in [0, 1].

    Attributes:
        propagated: Followed from all remembered frames, near places first.
        moved: The masks of the last frame, carried along; zero for objects unseen there.
    """

    propagated: Tensor
    moved: Tensor


@MODELS.register_module()
class MemoryReader(BaseModule):
    """Reads object masks by comparing the pixels of a frame with remembered ones.

    Two reads, after Voigtlaender et al., "FEELVOS", CVPR 2019, section 3.3: one of all remembered
    frames at a coarse stride, whose ``top_k`` best pixels vote (Cheng et al., "Rethinking
    Space-Time Networks", NeurIPS 2021, section 3.2, with cosines), and one of the last frame
    around each pixel at the stride of the mask features. The first prefers near places, over
    distances that grow with the time gone by; without that preference, and on prompted frames
    only, it finds objects again (:meth:`find_again`). Keys are shared by all objects: one more
    object costs one more column in the votes.

    Args:
        feat_channels: Width C of the mask features.
        key_channels: Width K of keys.
        stride: Least number of cells of mask features along a side of a cell of memory; 4 is
            stride 16.
        max_cells: Most cells of memory that a frame gets; larger frames get a coarser stride. The
            coarse read compares all pairs of a new and a remembered cell, which would cost 16
            times as much in a video of twice the height and width.
        top_k: Remembered pixels that vote for each pixel; 0 for all.
        local_radius: Reach of the read of the last frame, cells of mask features; 0 for none.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        key_channels: int = 64,
        stride: int = 4,
        max_cells: int = 1024,
        top_k: int = 32,
        local_radius: int = 4,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if min(key_channels, stride, max_cells) < 1 or top_k < 0 or local_radius < 0:
            raise ValueError(
                'MemoryReader: expected key_channels, stride and max_cells >= 1 and top_k and '
                f'local_radius >= 0, got {key_channels}, {stride}, {max_cells}, {top_k} and '
                f'{local_radius}'
            )
        self.key_channels = key_channels
        self.stride = stride
        self.max_cells = max_cells
        self.top_k = top_k
        self.local_radius = local_radius
        self.key_proj = nn.Conv2d(feat_channels, key_channels, 1)
        nn.init.orthogonal_(self.key_proj.weight.flatten(1))
        assert self.key_proj.bias is not None, 'it was built with one'
        nn.init.zeros_(self.key_proj.bias)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_INITIAL_SCALE)))
        # Reach as a share of the picture's longer side: at once, and per frame gone by.
        self.log_reach = nn.Parameter(torch.tensor([0.06, 0.03]).log())
        self.sharpness = nn.Parameter(torch.tensor(8.0))
        self.border = nn.Parameter(torch.tensor(0.4))
        if local_radius:
            self.local_scale = nn.Parameter(torch.tensor(math.log(_INITIAL_SCALE)))
            self.local_bias = nn.Parameter(_bell(local_radius))
            self.trust_in_last = nn.Parameter(torch.tensor(1.0))

    def key_size(self, fine_size: tuple[int, int]) -> tuple[int, int]:
        """(h', w') for mask features of (h, w)."""
        stride = self._stride_for(fine_size)
        return -(-fine_size[0] // stride), -(-fine_size[1] // stride)

    def _stride_for(self, fine_size: tuple[int, int]) -> int:
        """The least stride, from the one that was set on, that keeps to ``max_cells``."""
        height, width = fine_size
        stride = self.stride
        while -(-height // stride) * -(-width // stride) > self.max_cells:
            stride += 1
        return stride

    def encode(self, mask_features: Tensor) -> FrameKeys:
        """Keys of frames (B, C, h, w)."""
        with torch.autocast(mask_features.device.type, enabled=False):
            fine = pointwise(self.key_proj, mask_features.float())
            return FrameKeys(F.normalize(self._pool(fine), dim=1), F.normalize(fine, dim=1))

    def cover(self, masks: Tensor) -> Tensor:
        """Masks (N, h, w) at the memory's stride, (N, h', w')."""
        return self._pool(masks.unsqueeze(1)).squeeze(1)

    def _pool(self, maps: Tensor) -> Tensor:
        """Means over the cells of memory, (B, C, h, w) to (B, C, h', w')."""
        height, width = maps.shape[-2:]
        stride = self._stride_for((height, width))
        return maps if stride == 1 else F.avg_pool2d(maps, stride, ceil_mode=True)

    def _enlarge(self, votes: Tensor, size: torch.Size) -> Tensor:
        """Votes (N, h', w') at the size (h, w) of mask features; cells at the end may reach out."""
        height, width = size
        stride = self._stride_for((height, width))
        whole = (stride * votes.shape[1], stride * votes.shape[2])
        fine = F.interpolate(votes[None], size=whole, mode='bilinear', align_corners=False)
        return fine[0, :, :height, :width]

    def forward(self, state: MemoryState, keys: FrameKeys) -> ProposedMasks:
        """Propose masks for the next frame.

        Args:
            state: A memory of at least one frame.
            keys: Of the frame, without the axis B.
        """
        with torch.autocast(keys.fine.device.type, enabled=False):
            far = self._vote(self._nearby(state, keys.coarse), state, state.written)
            far = self._enlarge(far, keys.fine.shape[-2:])
            if not self.local_radius:
                return ProposedMasks(self._sharpen(far), far)
            near = self._carry(state, keys.fine)
            seen = state.last_masks.flatten(1).any(dim=1)[:, None, None]
            joined = torch.where(seen, far.lerp(near, self.trust_in_last.sigmoid()), far)
            return ProposedMasks(self._sharpen(joined), near)

    def find_again(
        self, state: MemoryState, keys: FrameKeys, prompted_frames: Tensor | None = None
    ) -> Tensor:
        """Where objects are by looks alone, as on the frames where they were prompted.

        Args:
            state: A memory of at least one frame.
            keys: Of the frame, without the axis B.
            prompted_frames: Remembered frames on which an object was prompted, (G,), int64. When
                left out, they are looked up, or, where that would be to wait for a device, all
                frames are compared with.

        Returns:
            Masks (N, h, w), in [0, 1].
        """
        if prompted_frames is None and not runs_ahead(keys.fine.device):
            prompted_frames = (state.prompted & state.written).any(dim=1).nonzero().flatten()
        if prompted_frames is not None:
            state = state.keep_frames(prompted_frames)
        with torch.autocast(keys.fine.device.type, enabled=False):
            pointed = state.prompted & state.written
            pairs = PixelPairs.of([self._looks(keys.coarse)], [state.keys.flatten(2)], pointed)
            votes = self._vote(pairs, state, pointed)
            return self._sharpen(self._enlarge(votes, keys.fine.shape[-2:]))

    def _looks(self, coarse: Tensor) -> Tensor:
        """A frame's keys, scaled, (K, h'w')."""
        return self.log_scale.exp() * coarse.flatten(1)

    def _nearby(self, state: MemoryState, coarse: Tensor) -> PixelPairs:
        """A frame's pixels and all remembered ones, less what distant places lose.

        A squared distance is a product of four channels, |q|^2 - 2 q p + |p|^2, so that it costs
        no pass over all pairs.
        """
        gap = (state.num_seen - state.frame_index).clamp(min=1).float()
        at_once, per_frame = self.log_reach.exp()
        variance = at_once.square() + gap * per_frame.square()
        height, width = state.keys.shape[-2:]
        places = _places(height, width, state.keys.device)  # (2, h'w')
        lengths = places.square().sum(dim=0, keepdim=True)
        here = torch.cat([2 * places, -torch.ones_like(lengths), -lengths])
        there = torch.cat([places, lengths, torch.ones_like(lengths)])
        there = there / (2 * variance)[:, None, None]
        looks = self._looks(coarse)
        return PixelPairs.of([looks, here], [state.keys.flatten(2), there], state.written)

    def _vote(self, pairs: PixelPairs, state: MemoryState, counted: Tensor) -> Tensor:
        """Mean cover of remembered pixels, weighted by softmax, (N, h', w').

        Args:
            pairs: Of h'w' and F * h'w' pixels.
            state: The frames.
            counted: Which frames count for which object, (F, N), bool.
        """
        size = state.keys.shape[-2:]
        if not pairs.num_there:
            return state.covers.new_zeros(state.num_objects, *size)
        counts = counted.float()
        masks = (state.covers.flatten(2) * counts.unsqueeze(-1)).transpose(1, 2).flatten(0, 1)
        if 0 < self.top_k < pairs.num_there:
            values, index = pairs.largest(self.top_k)
            weights = values.softmax(dim=0).unsqueeze(-1)
            frames = index.div(size[0] * size[1], rounding_mode='floor')
            mass = (weights * counts[frames]).sum(dim=0)
            votes = (weights * masks[index]).sum(dim=0)
        else:
            weights = pairs.products().softmax(dim=0).T
            mass = weights.unflatten(1, (len(counts), -1)).sum(dim=-1) @ counts
            votes = weights @ masks
        return (votes / mass.clamp(min=_LEAST_MASS)).T.unflatten(1, size)

    def _carry(self, state: MemoryState, fine: Tensor) -> Tensor:
        """Masks of the last frame at their new place, (N, h, w).

        Tiles of the frame are compared with windows of the last one, which costs little more
        than the pairs that count and is a product of matrices. Where no outline runs through the
        window, all of it is inside or outside whatever moved, and the masks stay as they are.
        """
        radius, (height, width) = self.local_radius, fine.shape[-2:]
        side = tile_side(fine.device)
        last = F.pad(state.last_masks, missing_for_tiles(height, width, side))
        reach = side + 2 * radius
        shares = largest_in_windows(torch.cat([last, 1 - last]), reach, radius)
        inside, outside = (shares[:, ::side, ::side] > _LEAST_SHARE).chunk(2)
        crossed = (inside & outside).any(dim=0)
        places = places_of(crossed)
        here = TileCut.of(places, (height, width), side, 0)
        around = TileCut.of(places, (height, width), side, radius)
        tiles = self.local_scale.exp() * here(fine)  # (tiles that count, side^2, K)
        windows = around(state.last_key)
        open_bias = torch.cat([self.local_bias.flatten(), self.local_bias.new_full((1,), -NEVER)])
        offsets = _offsets(side, radius, fine.device)
        logits = torch.baddbmm(open_bias[offsets], tiles, windows.transpose(1, 2))
        logits = logits - NEVER * around.is_beyond.transpose(1, 2).to(logits)
        found = logits.softmax(dim=-1) @ around(state.last_masks)
        found = found.unflatten(1, (side, side)).permute(0, 3, 1, 2)  # (tiles, N, side, side)
        tiled = last.unflatten(2, (-1, side)).unflatten(1, (-1, side)).permute(1, 3, 0, 2, 4)
        found = torch.where(crossed[places][:, None, None, None], found, tiled[places])
        moved = tiled.index_put(places, found).permute(2, 0, 3, 1, 4)
        return moved.flatten(3).flatten(1, 2)[:, :height, :width]

    def _sharpen(self, shares: Tensor) -> Tensor:
        """Votes as probabilities."""
        return (self.sharpness * (shares - self.border)).sigmoid()


@made_once
def _places(height: int, width: int, device: torch.device) -> Tensor:
    """Centres (x, y) of cells over the longer side, (2, h'w')."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing='ij'
    )
    return torch.stack([x, y]).flatten(1).float() / max(height, width)


def _bell(radius: int) -> Tensor:
    """Preference for staying, (side, side)."""
    steps = torch.arange(-radius, radius + 1).float()
    return -(steps[:, None].square() + steps[None, :].square()) / (2 * (radius / 2) ** 2)


@made_once
def _offsets(side: int, radius: int, device: torch.device) -> Tensor:
    """Place in the flat bias of each pair of a pixel of a tile and one of its window.

    (side^2, window), int64; pairs that are too far apart have the place after the last one.
    """
    here = torch.arange(side, device=device)
    there = torch.arange(side + 2 * radius, device=device)
    steps = there[None, :] - here[:, None]  # 0 is radius to the left
    span = 2 * radius + 1
    near = (steps >= 0) & (steps < span)
    flat = steps[:, None, :, None] * span + steps[None, :, None, :]
    close = near[:, None, :, None] & near[None, :, None, :]
    return flat.masked_fill(~close, span * span).flatten(0, 1).flatten(1)
