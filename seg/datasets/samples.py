"""The dict that readers hand to the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def segments(
    masks: np.ndarray | Tensor,
    labels: Sequence[int],
    object_ids: Sequence[int] | np.ndarray,
    is_crowd: Sequence[bool] | np.ndarray | None = None,
) -> dict[str, Tensor]:
    """What is known of the segments of a clip, as the transforms expect it.

    Args:
        masks: (N, T, H, W), bool.
        labels: Contiguous class of each, -1 where it is not known.
        object_ids: Identity of each within the clip.
        is_crowd: Which of them are regions to ignore; none by default.
    """
    crowd = np.zeros(len(labels), dtype=bool) if is_crowd is None else is_crowd
    return {
        'masks': torch.as_tensor(masks),
        'labels': torch.tensor(list(labels), dtype=torch.long),
        'object_ids': torch.tensor(np.asarray(object_ids, dtype=np.int64)),
        'is_crowd': torch.tensor(np.asarray(crowd, dtype=bool)),
    }


def stack_masks(masks: Sequence[np.ndarray], size: Sequence[int]) -> np.ndarray:
    """Masks of one image, of which there may be none, (N, 1, H, W), bool.

    Args:
        masks: (H, W), bool, each.
        size: (H, W).
    """
    stacked = np.stack(masks) if masks else np.zeros((0, *size), dtype=bool)
    return stacked[:, None]


def masks_of_ids(id_maps: np.ndarray, ids: Sequence[int] | np.ndarray) -> Tensor:
    """Where maps of ids have each of some ids, (N, T, H, W), bool.

    Args:
        id_maps: (T, H, W), integers.
        ids: (N,).
    """
    values = torch.from_numpy(np.ascontiguousarray(id_maps, dtype=np.int32))
    return values == torch.tensor(np.asarray(ids, dtype=np.int32))[:, None, None, None]


def image_sample(
    image: np.ndarray, known: dict[str, Any], img_id: int | str, img_path: Path, dataset_name: str
) -> dict[str, Any]:
    """An image, which is a clip of one frame.

    Args:
        image: (H, W, 3), uint8, RGB.
        known: What :func:`segments` gives.
        img_id: Its name within the data set.
        img_path: Where it was read.
        dataset_name: Name of the data set.
    """
    return {
        'clip': torch.from_numpy(image).permute(2, 0, 1)[None].contiguous(),
        **known,
        'img_id': img_id,
        'img_path': str(img_path),
        **_geometry(image.shape[:2]),
        'dataset_name': dataset_name,
    }


def clip_sample(
    frames: Sequence[np.ndarray],
    known: dict[str, Any],
    video_id: int | str,
    frame_ids: Sequence[int],
    img_paths: Sequence[Path],
    dataset_name: str,
) -> dict[str, Any]:
    """Frames of a video.

    Args:
        frames: (H, W, 3), uint8, RGB, each.
        known: What :func:`segments` gives.
        video_id: The video's name within the data set.
        frame_ids: Which frames of the video they are.
        img_paths: Where they were read.
        dataset_name: Name of the data set.
    """
    return {
        'clip': torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous(),
        **known,
        'img_id': video_id,
        'video_id': video_id,
        'frame_ids': tuple(frame_ids),
        'img_path': str(img_paths[0]),
        'img_paths': tuple(map(str, img_paths)),
        **_geometry(frames[0].shape[:2]),
        'dataset_name': dataset_name,
    }


def _geometry(shape: Sequence[int]) -> dict[str, Any]:
    size = (int(shape[0]), int(shape[1]))
    return {'ori_shape': size, 'img_shape': size, 'scale_factor': (1.0, 1.0)}
