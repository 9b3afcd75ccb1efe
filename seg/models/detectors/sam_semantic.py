"""SAM that knows classes: a learned token per class in the place of prompts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.detectors.sam import SamSegmentor
from seg.models.heads.semantic_fusion import fuse_semantic
from seg.models.losses.dense_mask_losses import MaskDiceLoss
from seg.registry import MODELS
from seg.structures import ClipSample
from seg.utils.checks import UserError

_IGNORED = -1


@MODELS.register_module()
class SamSemanticSegmentor(SamSegmentor):
    """Labels every pixel from one pass of the decoder, without any prompt.

    Each class has a learned token where prompts would be; what the decoder makes of it goes
    through the network of the mask for clear prompts and becomes the logits of the class. Pixels
    that belong to no segment of the ground truth are ignored. The losses are cross-entropy and
    Dice, the latter over the classes that an image shows.

    Args:
        num_classes: Number of classes K.
        dice_weight: Weight of Dice beside cross-entropy.
        settings: Arguments of :class:`SamSegmentor`, as one dict.

    Raises:
        UserError: If there is no class.
    """

    added_parts = (*SamSegmentor.added_parts, r'^class_tokens\.')

    def __init__(
        self,
        num_classes: int,
        dice_weight: float = 1.0,
        settings: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if num_classes < 1:
            raise UserError(f'model.num_classes: expected at least 1, got {num_classes}')
        super().__init__(**(settings or {}), init_cfg=init_cfg)
        self.num_classes = num_classes
        self.dice_weight = dice_weight
        self.class_tokens = nn.Embedding(num_classes, self.variant.prompt_dim)
        self.dice = MaskDiceLoss()

    def decode_classes(self, embeddings: Tensor) -> Tensor:
        """Logits of every class, (B, K, 4h, 4w), for image embeddings (B, C, h, w)."""
        decoder = self.mask_decoder
        with torch.autocast(embeddings.device.type, enabled=False):
            image_pe = self.prompt_encoder.get_dense_pe()
        tokens = torch.cat([decoder.output_tokens, self.class_tokens.weight])
        maps = embeddings + self.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1)
        hidden, keys = decoder.transformer(maps, image_pe, tokens.expand(len(maps), -1, -1))
        kernels = decoder.output_hypernetworks_mlps[0](hidden[:, -self.num_classes :])
        return decoder.draw(keys, kernels, (maps.shape[-2], maps.shape[-1]))

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> dict[str, Tensor]:
        """Cross-entropy ``loss_ce`` and ``loss_dice`` of a batch with ground truth."""
        embeddings = self.embed_samples(batch_inputs, batch_data_samples)
        logits = self.decode_classes(embeddings)
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            size = (logits.shape[-2], logits.shape[-1])
            pairs = [self._target(sample, size) for sample in batch_data_samples]
            shares = torch.stack([share for share, _ in pairs])
            labels = torch.stack([label for _, label in pairs])
            counted = labels != _IGNORED
            entropy = F.cross_entropy(logits, labels, ignore_index=_IGNORED, reduction='sum')
            return {
                'loss_ce': entropy / counted.sum().clamp(min=1),
                'loss_dice': self.dice_weight * self._dice(logits, shares, counted),
            }

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> list[ClipSample]:
        """Write ``pred_panoptic`` into the samples, one segment per class, at the original size."""
        logits = self.decode_classes(self.embed_samples(batch_inputs, batch_data_samples))
        for sample, classes in zip(batch_data_samples, logits, strict=True):
            labels = torch.arange(self.num_classes)
            sample.pred_panoptic = fuse_semantic(
                classes, labels, self._sizes(sample), needs_positive=False
            )
        return batch_data_samples

    def _target(self, sample: ClipSample, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Share of each cell that every class covers, (K, h, w), and its label, (h, w)."""
        segments = sample.gt_segments
        masks, labels = segments.masks[:, 0], segments.labels
        used = ~segments.is_crowd & (labels >= 0)
        if bool((labels[used] >= self.num_classes).any()):
            raise UserError(
                f'labels: expected classes below model.num_classes={self.num_classes}, got '
                f'{int(labels[used].max())}; set num_classes to that of the data'
            )
        shares = masks.new_zeros(self.num_classes, *size, dtype=torch.float32)
        covered = F.adaptive_avg_pool2d(masks[used].float(), size)
        shares.index_add_(0, labels[used], covered)
        best = shares.max(dim=0)
        return shares, best.indices.masked_fill(best.values <= 0.5, _IGNORED)

    def _dice(self, logits: Tensor, shares: Tensor, counted: Tensor) -> Tensor:
        """Dice of the classes that images show, mean over all of them."""
        shown = shares.flatten(2).amax(dim=2) > 0.5
        if not bool(shown.any()):
            return logits[:0].sum()  # over no classes
        # A class against all others: its logit beside the log-sum of the others' exponentials.
        others = torch.logsumexp(logits, dim=1, keepdim=True)
        log_odds = logits - (others + torch.log1p(-(logits - others).exp().clamp(max=1 - 1e-6)))
        weights = counted[:, None].expand_as(shares).float()
        return self.dice(log_odds[shown], shares[shown], weights[shown]).mean()
