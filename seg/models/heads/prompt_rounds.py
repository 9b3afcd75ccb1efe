"""What a person would do next: correcting clicks between the rounds of a training step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from seg.evaluation.functional.clicks import click_inside, largest_error
from seg.structures import PointLabel, Prompts


@torch.no_grad()
def corrected_prompts(
    prompts: Prompts,
    mask_logits: Tensor,
    masks: Tensor,
    *,
    interior_prob: float = 0.5,
) -> Prompts:
    """Add one correcting click to every row and hand the last answer on.

    The click lies in the largest region where answer and truth differ on the first frame, compared
    at the size of the answer: at its most interior place, or anywhere in it. Rows without errors
    get none.

    Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A (training algorithm).

    Args:
        prompts: What was said so far, N rows.
        mask_logits: What was answered, (N, T, h, w).
        masks: What is wanted, (N, T, H, W), bool, at the size of the padded input.
        interior_prob: How often the most interior place is clicked; the global random generator
            of PyTorch decides.

    Returns:
        The rows with one more point each and with ``previous_logits``.
    """
    size, full = mask_logits.shape[-2:], masks.shape[-2:]
    rows = _cell_centers(size[0], full[0]).to(masks.device)
    columns = _cell_centers(size[1], full[1]).to(masks.device)
    wanted = masks[:, 0][:, rows][:, :, columns].cpu().numpy()
    answered = (mask_logits[:, 0] > 0).cpu().numpy()
    draws = torch.rand(len(wanted), 2).tolist()
    coords = torch.zeros(len(wanted), 1, 2)
    labels = torch.full((len(wanted), 1), int(PointLabel.PADDING))
    for i, (answer, truth) in enumerate(zip(answered, wanted, strict=True)):
        error = largest_error(answer, truth)
        if error is None:
            continue
        if draws[i][0] < interior_prob:
            click = click_inside(error.region, is_positive=error.is_missed)
            row, column = int(click.y), int(click.x)
        else:
            pixels = np.flatnonzero(error.region)
            row, column = divmod(int(pixels[int(draws[i][1] * len(pixels))]), size[1])
        coords[i, 0] = torch.stack([columns[column], rows[row]]).cpu() + 0.5
        labels[i, 0] = int(error.is_missed)
    return replace(prompts.with_points(coords, labels), previous_logits=mask_logits.detach())


def _cell_centers(cells: int, pixels: int) -> Tensor:
    """Pixel in the middle of each cell, (cells,), int64."""
    return ((torch.arange(cells) + 0.5) * (pixels / cells)).long()
