"""Images and prompts on their way into the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from seg.apis.overlapped import Upload
from seg.models.heads.clip_frame import Frame
from seg.structures import ClipSample, Prompts, Task, resize_prompts


def pack_image(
    pipeline: Callable[[dict[str, Any]], Any],
    image: Upload,
    task: Task,
    *,
    img_id: int = 0,
    img_path: str | None = None,
    prompts: Prompts | None = None,
) -> dict[str, Any]:
    """An image after a test pipeline: ``inputs`` and ``data_samples``.

    It goes to its device as bytes, a quarter of what floats take, and is resized there.

    Args:
        pipeline: The test pipeline.
        image: The image.
        task: What is asked.
        img_id: Number of the image.
        img_path: Where it came from.
        prompts: In pixels of the image.
    """
    size = image.image.shape[:2]
    results: dict[str, Any] = {
        'task': task,
        'clip': image.pixels().permute(2, 0, 1)[None].contiguous(),
        'img_id': img_id,
        'ori_shape': size,
        'img_shape': size,
    }
    if img_path is not None:
        results['img_path'] = img_path
    if prompts is not None:
        results['prompts'] = prompts
    packed = pipeline(results)
    assert packed is not None, 'test pipelines do not drop images'
    return packed


def network_input(
    model: Any,
    pipeline: Callable[[dict[str, Any]], Any],
    image: Upload,
    task: Task,
) -> tuple[Tensor, ClipSample]:
    """An image as the network reads it, (1, 1, 3, H, W), normalised and padded, and its sizes."""
    packed = pack_image(pipeline, image, task)
    batch = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
    data = model.data_preprocessor(batch, False)
    (sample,) = data['data_samples']
    return data['inputs'], sample


def encode_frame(
    model: Any,
    pipeline: Callable[[dict[str, Any]], Any],
    image: Upload,
    task: Task,
) -> tuple[Frame, ClipSample]:
    """Features of one frame of a video, and its sizes."""
    inputs, sample = network_input(model, pipeline, image, task)
    features = model.extract_feat(inputs)
    height, width = sample.batch_input_shape
    sizes = (height, width), [tuple(sample.img_shape)]
    return Frame(features.mask_features, features.context_feats, *sizes), sample


def prompts_on_canvas(prompts: Prompts, sample: ClipSample) -> Prompts:
    """Prompts in pixels of an image as prompts in pixels of its padded input."""
    size, canvas = tuple(sample.ori_shape), tuple(sample.batch_input_shape)
    prompts = resize_prompts(prompts, size, tuple(sample.img_shape))
    if prompts.masks is None:
        return prompts
    padding = canvas[1] - prompts.masks.shape[-1], canvas[0] - prompts.masks.shape[-2]
    return replace(prompts, masks=F.pad(prompts.masks, (0, padding[0], 0, padding[1])))
