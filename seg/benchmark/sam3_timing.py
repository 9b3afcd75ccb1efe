"""Time and memory of SAM 3 with random weights, for the process that it runs in."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import Any

import torch

from seg.apis.loading import choose_device
from seg.benchmark.machine import device_name
from seg.benchmark.meters import Stopwatch
from seg.models.detectors import Sam3Segmentor
from seg.structures import ClipSample, Prompts
from seg.utils.checks import UserError


@torch.no_grad()
def time_sam3(
    variant: str,
    *,
    dtype: str = 'float32',
    phrases: Sequence[int] = (1,),
    image_size: int | None = None,
    drop_text_encoder: bool = False,
    device: str = 'cpu',
    threads: int = 1,
) -> dict[str, Any]:
    """Encode an image of noise, then ask some phrases, then others.

    Args:
        variant: A key of ``ext.sam3.SAM3_VARIANTS``.
        dtype: Of the weights and of all that is computed.
        phrases: How many phrases are asked at once, one number after the other; all are new to the
            model.
        image_size: Side of the canvas, pixels; by default the variant's own.
        drop_text_encoder: Whether to build the model without text encoder.
        device: Where.
        threads: Of the CPU.

    Returns:
        ``image`` and ``phrases_N``: seconds that passed and seconds of the processor; peak memory
        of the process (the GPU's, if it is one), 1e9 bytes; and what was run.

    Raises:
        UserError: If there is no such variant or device, or no phrase.
    """
    if not phrases or min(phrases) < 1:
        raise UserError(f'--phrases: expected whole numbers >= 1, got {list(phrases)}')
    place = choose_device(device)
    torch.set_num_threads(threads)
    words = [f'thing {number}' for number in range(sum(phrases))]
    model = Sam3Segmentor(
        variant,
        image_size=image_size,
        drop_text_encoder=drop_text_encoder,
        phrases=words if drop_text_encoder else (),
    )
    model = model.to(place, getattr(torch, dtype)).eval()
    side, watch = model.image_size, Stopwatch(place)
    image = torch.randn(1, 1, 3, side, side, device=place, dtype=getattr(torch, dtype))
    with watch.running('image'):
        features = model.extract_feat(image)
    for count in phrases:
        asked, words = words[:count], words[count:]
        sample = ClipSample(metainfo=dict(img_shape=(side, side), ori_shape=(side, side)))
        sample.prompts = Prompts.create(texts=asked).to(place)
        with watch.running(f'phrases_{count}'):
            model.predict_prompts(features, [sample])
    return {
        'variant': variant,
        'dtype': dtype,
        'image_size': side,
        'text_encoder': not drop_text_encoder,
        'machine': device_name(place),
        'threads': threads,
        'parameters': sum(value.numel() for value in model.parameters()),
        'seconds': {name: round(value, 2) for name, value in watch.seconds.items()},
        'cpu_seconds': {name: round(value, 2) for name, value in watch.cpu_seconds.items()},
        'peak_gb': round(_peak_bytes(place) / 1e9, 2),
    }


def _peak_bytes(device: torch.device) -> int:
    """Most memory that was in use so far: of the GPU, or in RAM by this process."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
