"""The prompt encoder: clicks and the two corners of boxes, nothing else."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LABEL_PADDING, LABEL_CLICK, LABEL_TOP_LEFT, LABEL_BOTTOM_RIGHT = -1, 1, 2, 3
_LABELS = (LABEL_PADDING, LABEL_CLICK, LABEL_TOP_LEFT, LABEL_BOTTOM_RIGHT)


def boxes_as_points(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes as EfficientSAM reads them: the top-left and the bottom-right corner.

    Args:
        boxes: xyxy, (..., 4).

    Returns:
        Points (..., 2, 2) and their labels 2 and 3, (..., 2).
    """
    labels = torch.tensor([LABEL_TOP_LEFT, LABEL_BOTTOM_RIGHT], device=boxes.device)
    return boxes.unflatten(-1, (2, 2)), labels.expand(*boxes.shape[:-1], 2)


class FourierPositions(nn.Module):
    """Places as sines and cosines of random frequencies.

    Args:
        num_frequencies: Half the number of channels.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_frequencies: int) -> None:
        super().__init__()
        self.register_buffer('positional_encoding_gaussian_matrix', torch.randn(2, num_frequencies))

    def forward(self, places: Tensor) -> Tensor:
        """Encode places (x, y) in [0, 1], (..., 2), as (..., C)."""
        angles = 2 * math.pi * (2 * places - 1) @ self.positional_encoding_gaussian_matrix
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class PointEncoder(nn.Module):
    """Turns points into tokens; single precision, whatever the rest runs in.

    Args:
        channels: Channels of a token.
        image_size: Side of the canvas that points lie on, pixels.
        max_points: Points of a prompt; shorter ones are padded, as the published weights expect.
    """

    def __init__(self, channels: int, image_size: int, max_points: int = 6) -> None:
        super().__init__()
        self.image_size = image_size
        self.max_points = max_points
        self.pe_layer = FourierPositions(channels // 2)
        self.invalid_points = nn.Embedding(1, channels)
        self.point_embeddings = nn.Embedding(1, channels)
        self.bbox_top_left_embeddings = nn.Embedding(1, channels)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, channels)

    def dense_positions(self, size: tuple[int, int]) -> Tensor:
        """Encodings of the centres of a grid of (h, w) cells, (1, C, h, w)."""
        device = self.invalid_points.weight.device
        rows, columns = (
            (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side for side in size
        )
        y, x = torch.meshgrid(rows, columns, indexing='ij')
        return self.pe_layer(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:
        """Encode prompts.

        Args:
            points: (x, y) in pixels of the canvas, (N, P, 2); half a pixel is added.
            labels: 1 click, 2 and 3 corners of a box, -1 padding, (N, P).

        Returns:
            (N, max_points, C).

        Raises:
            ValueError: If a prompt has too many points, or a label has no embedding.
        """
        missing = self.max_points - points.shape[1]
        if missing < 0:
            raise ValueError(
                f'points: expected at most {self.max_points} per prompt, a box counting as two, '
                f'got {points.shape[1]}; leave some out'
            )
        known = torch.tensor(_LABELS, device=labels.device)
        if not bool(torch.isin(labels, known).all()):
            raise ValueError(
                'point labels: expected 1 (click), 2 and 3 (corners of a box) or -1 (padding), got '
                f'{sorted(set(labels.flatten().tolist()))}; EfficientSAM has no embedding for '
                'others, negative clicks (0) included'
            )
        points = nn.functional.pad(points.float(), (0, 0, 0, missing), value=-1.0)
        labels = nn.functional.pad(labels, (0, missing), value=LABEL_PADDING)
        tokens = self.pe_layer((points + 0.5) / self.image_size)
        for label, table in (
            (LABEL_PADDING, self.invalid_points),
            (LABEL_CLICK, self.point_embeddings),
            (LABEL_TOP_LEFT, self.bbox_top_left_embeddings),
            (LABEL_BOTTOM_RIGHT, self.bbox_bottom_right_embeddings),
        ):
            tokens = tokens + (labels == label)[..., None] * table.weight[0]
        return tokens
