"""The last prediction of a batch, written into its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from seg.models.heads.clip_following import tracks_of_clip
from seg.models.heads.mask_resizing import PictureSizes
from seg.models.heads.panoptic_fusion import PanopticFusion
from seg.models.heads.prompted_instances import prompted_instances
from seg.structures import ClipSample, StageOutput, Task

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead


def write_prompted(
    head: RapSAMVideoHead,
    output: StageOutput,
    index: int,
    sample: ClipSample,
    sizes: PictureSizes,
    task: Task,
    mask_features: Tensor,
    num_tokens: int,
) -> None:
    """Masks of prompted objects, and of clips their tracks.

    Args:
        head: For its settings.
        output: The last prediction of a batch.
        index: Which clip of the batch.
        sample: Where they are written, with its prompts.
        sizes: The way to the picture.
        task: The task of the batch.
        mask_features: Of the clip, (T, C, h, w).
        num_tokens: Masks per prompted object.
    """
    sample.pred_prompted = prompted_instances(
        output,
        index,
        sample.prompts,
        sizes,
        mask_features=mask_features,
        num_tokens=num_tokens,
        min_iou_score=head.min_iou_score,
        click_keeper=head.click_keeper,
    )
    if task is not Task.INTERACTIVE_IMAGE:
        rows = slice(0, len(sample.prompts) * num_tokens, num_tokens)
        sample.pred_tracks = tracks_of_clip(output.mask_logits[index, rows], sample.prompts, sizes)


def write_found(
    fusion: PanopticFusion,
    output: StageOutput,
    index: int,
    sample: ClipSample,
    sizes: PictureSizes,
) -> None:
    """The panoptic map and the instances of a clip; arguments as above."""
    assert output.class_logits is not None, 'found objects need class logits'
    logits = output.mask_logits[index]
    sample.pred_panoptic = fusion.find(output.class_logits[index], logits, sizes).data
    queries, scores, labels = fusion.candidates(output.class_logits[index])
    sample.pred_instances = fusion.instances(logits, scores, labels, queries=queries, sizes=sizes)
