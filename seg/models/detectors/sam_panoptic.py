"""SAM prompted by what a panoptic model finds: classes without any help of the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from seg.datasets.metainfo.class_tables import find_class_table
from seg.models.detectors.sam import SamSegmentor
from seg.models.heads.semantic_fusion import fuse_semantic
from seg.registry import MODELS
from seg.structures import ClipSample, PanopticData, Prompts, Task
from seg.utils.checkpoints import load_weights, unwrap_state
from seg.utils.checks import UserError


@MODELS.register_module()
class PanopticPromptedSam(SamSegmentor):
    """Labels pixels with SAM's masks of boxes around the segments of another model.

    That model, such as :class:`RapSAM`, sees the same picture at the size of SAM's canvas, through
    a preprocessor of its own. Its segments are prompted by their tight boxes and keep their
    classes, translated by a table; where masks overlap, the larger logit decides. The model is
    frozen, is no part of checkpoints, and loads its weights when it is first needed; training is
    that of SAM.

    Args:
        proposer: Config of a model for the panoptic task, with an ``init_cfg`` of the type
            ``'Pretrained'``.
        class_table: Class of every class of the proposer, -1 for none, or the name of one of
            :data:`seg.datasets.metainfo.class_tables.CLASS_TABLES`.
        min_area: Smallest segment that is prompted, pixels of the original picture.
        settings: Arguments of :class:`SamSegmentor`, as one dict.
        init_cfg: Where SAM's pretrained weights come from.

    Raises:
        UserError: If the proposer has no weights, or a table or setting is wrong.
    """

    def __init__(
        self,
        proposer: dict[str, Any],
        class_table: Sequence[int] | str,
        min_area: int = 64,
        settings: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(**(settings or {}), init_cfg=init_cfg)
        if min_area < 1:
            raise UserError(f'model.min_area: expected at least 1, got {min_area}')
        table = find_class_table(class_table) if isinstance(class_table, str) else class_table
        self.class_table = tuple(table)
        self.min_area = min_area
        self._source = str((proposer.get('init_cfg') or {}).get('checkpoint', ''))
        if not self._source:
            raise UserError(
                "model.proposer.init_cfg: expected dict(type='Pretrained', checkpoint=FILE), got "
                f'{proposer.get("init_cfg")}; boxes of an untrained model mean nothing'
            )
        # In a list, the proposer is no part of checkpoints, of the optimizer or of DDP.
        self._proposer: list[BaseDetector] = [MODELS.build(proposer).requires_grad_(False).eval()]
        self._is_loaded = False

    @property
    def proposer(self) -> BaseDetector:
        """The panoptic model, with its weights.

        Raises:
            UserError: If they belong to another model.
        """
        if not self._is_loaded:
            content = CheckpointLoader.load_checkpoint(self._source, 'cpu', logger='silent')
            load_weights(self._proposer[0], unwrap_state(content, self._source), name=self._source)
            self._is_loaded = True
        return self._proposer[0]

    def _apply(self, fn: Any, recurse: bool = True) -> PanopticPromptedSam:
        """Move the proposer along."""
        self._proposer[0]._apply(fn)
        return super()._apply(fn, recurse)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> list[ClipSample]:
        """Write ``pred_panoptic`` into the samples, one segment per class, at the original size."""
        embeddings = self.embed_samples(batch_inputs, batch_data_samples)
        scenes = self.propose(batch_inputs, batch_data_samples)
        found = [
            self.prompts_of(scene, sample)
            for scene, sample in zip(scenes, batch_data_samples, strict=True)
        ]
        outputs = self.decode_prompts(embeddings, [prompts for prompts, _ in found], 'single')
        for sample, output, (_, labels) in zip(batch_data_samples, outputs, found, strict=True):
            logits = output.mask_logits[:, 0]
            sample.pred_panoptic = fuse_semantic(logits, labels, self._sizes(sample))
        return batch_data_samples

    @torch.no_grad()
    def propose(self, inputs: Tensor, samples: Sequence[ClipSample]) -> list[PanopticData]:
        """What the proposer sees.

        Args:
            inputs: SAM's input, (B, 1, 3, H, W), normalised and padded.
            samples: B samples with ``img_shape`` and ``ori_shape``.
        """
        pictures = inputs * self.data_preprocessor.std + self.data_preprocessor.mean
        clips, scenes = [], []
        for picture, sample in zip(pictures, samples, strict=True):
            height, width = sample.img_shape
            clips.append(picture[..., :height, :width])
            meta = dict(task=Task.PANOPTIC, img_shape=(height, width), ori_shape=sample.ori_shape)
            scenes.append(ClipSample(metainfo=meta))
        proposer = self.proposer
        data = proposer.data_preprocessor({'inputs': clips, 'data_samples': scenes}, False)
        found = proposer.predict(data['inputs'], data['data_samples'])
        return [scene.pred_panoptic for scene in found]

    def prompts_of(self, scene: PanopticData, sample: ClipSample) -> tuple[Prompts, Tensor]:
        """Boxes around the segments that have a class here, and these classes.

        Args:
            scene: Segments at the original size.
            sample: The sizes of the picture.

        Returns:
            N boxes in pixels of the canvas, and labels (N,).

        Raises:
            UserError: If the table has no entry for a class.
        """
        boxes, labels = [], []
        for segment in scene.segments:
            mask = scene.segment_map[0] == segment.id
            label = self._translated(segment.label)
            if label >= 0 and int(mask.sum()) >= self.min_area:
                boxes.append(_tight_box(mask))
                labels.append(label)
        (height, width), (ori_height, ori_width) = sample.img_shape, sample.ori_shape
        scale = torch.tensor([width / ori_width, height / ori_height] * 2)
        rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) * scale
        device = scene.segment_map.device
        return Prompts.create(boxes=rows.to(device)), torch.tensor(labels, dtype=torch.long)

    def _translated(self, label: int) -> int:
        if label >= len(self.class_table):
            raise UserError(
                f'model.class_table: expected a class for each of the proposer, got '
                f'{len(self.class_table)} entries and a segment of class {label}'
            )
        return self.class_table[label]


def _tight_box(mask: Tensor) -> list[int]:
    """The smallest box around a mask (H, W) that is not empty: xyxy, pixels."""
    columns, rows = mask.any(dim=0).nonzero(), mask.any(dim=1).nonzero()
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
