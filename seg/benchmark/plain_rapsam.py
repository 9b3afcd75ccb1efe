"""RapSAM written down plainly, as the published description reads: the baseline of benchmarks.

No step is arranged for speed. Module names are those of published checkpoints, so that their
weights load as they are; nothing else of the package is used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from seg.benchmark.plain_neck import PlainNeck

LOGIT_SCALE = 4.6052
STAGE_TEMPERATURE = 0.1
_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


class PlainOutput(NamedTuple):
    """One prediction.

    Attributes:
        class_logits: (B, Q, K + 1).
        mask_logits: (B, Q, h, w); frames of a clip below each other.
        iou_logits: (B, Q, 1).
        queries: (B, Q, 256).
    """

    class_logits: Tensor
    mask_logits: Tensor
    iou_logits: Tensor
    queries: Tensor


class PlainUpdater(nn.Module):
    """Gated update of queries by pooled features."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.dynamic_layer = nn.Linear(width, 2 * width)
        self.input_layer = nn.Linear(width, 2 * width)
        self.input_gate = nn.Linear(width, width)
        self.update_gate = nn.Linear(width, width)
        self.norm_in = nn.LayerNorm(width)
        self.norm_out = nn.LayerNorm(width)
        self.input_norm_in = nn.LayerNorm(width)
        self.input_norm_out = nn.LayerNorm(width)
        self.fc_layer = nn.Linear(width, width)
        self.fc_norm = nn.LayerNorm(width)

    def forward(self, update: Tensor, queries: Tensor) -> Tensor:
        """Both (B, Q, C)."""
        update_in, update_out = self.dynamic_layer(update).chunk(2, dim=-1)
        query_in, query_out = self.input_layer(queries).chunk(2, dim=-1)
        joined = update_in * query_in
        query_gate = self.input_norm_in(self.input_gate(joined)).sigmoid()
        update_gate = self.norm_in(self.update_gate(joined)).sigmoid()
        mixed = update_gate * self.norm_out(update_out) + query_gate * self.input_norm_out(
            query_out
        )
        return self.fc_norm(self.fc_layer(mixed)).relu()


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
        self.layers = nn.Sequential(first, nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _three_layers(width: int, out: int) -> nn.Sequential:
    middle = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
    return nn.Sequential(*middle, nn.Linear(width, out))


def pool_hard(mask_logits: Tensor, features: Tensor) -> Tensor:
    """Sum of the features (B, C, h, w) where masks (B, Q, h, w) are above one half, (B, Q, C)."""
    return torch.einsum('bqhw,bchw->bqc', (mask_logits.sigmoid() > 0.5).float(), features)


class PlainStage(nn.Module):
    """One decoder stage."""

    def __init__(self, embed_dim: int, width: int = 256) -> None:
        super().__init__()
        self.kernel_update = PlainUpdater(width)
        self.s_atten = nn.MultiheadAttention(width, 8, batch_first=True)
        self.s_atten_norm = nn.LayerNorm(width)
        self.ffn = _FeedForward(width, 2048)
        self.ffn_norm = nn.LayerNorm(width)
        self.cls_fcs = nn.Sequential(nn.Linear(width, width, bias=False), nn.LayerNorm(width))
        self.cls_proj = _three_layers(width, embed_dim)
        self.mask_fcs = nn.Sequential(nn.Linear(width, width, bias=False), nn.LayerNorm(width))
        self.fc_mask = nn.Linear(width, width)
        self.iou_embed = _three_layers(width, 1)

    def forward(
        self, features: Tensor, queries: Tensor, mask_logits: Tensor, blocked: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Class embeddings, masks, qualities and queries."""
        queries = self.kernel_update(pool_hard(mask_logits, features), queries)
        attended = self.s_atten(queries, queries, queries, attn_mask=blocked)[0]
        queries = self.s_atten_norm(queries + attended)
        queries = self.ffn_norm(queries + self.ffn(queries))
        mask_feats = self.mask_fcs(queries).relu()
        masks = torch.einsum('bqc,bchw->bqhw', self.fc_mask(mask_feats), features)
        embeddings = self.cls_proj(self.cls_fcs(queries).relu())
        return embeddings, masks, self.iou_embed(mask_feats), queries


class _PixelAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 8, batch_first=True)


class PlainHead(nn.Module):
    """Stages and adapters.

    Args:
        num_queries: Learned queries Q.
        embed_dim: Width D of class embeddings.
        prototypes: Unit vectors, (K, P, D).
    """

    prototypes: Tensor

    def __init__(self, num_queries: int, embed_dim: int, prototypes: Tensor) -> None:
        super().__init__()
        width = 256
        self.kernels = nn.Embedding(num_queries, width)
        self.mask_tokens = nn.Embedding(1, width)
        self.pb_embedding = nn.Embedding(2, width)
        self.pos_linear = nn.Linear(2 * width, width)
        self.panoptic_attn = PlainUpdater(width)
        self.panoptic_cls = nn.Sequential(nn.Linear(width, embed_dim))
        self.prompt_attn = _PixelAttention(width)
        self.prompt_norm = nn.LayerNorm(width)
        self.prompt_iou = nn.Linear(width, 1)
        self.mask_heads = nn.ModuleList(PlainStage(embed_dim) for _ in range(3))
        self.register_buffer('prototypes', prototypes, persistent=False)

    def forward(
        self, features: Tensor, boxes: Tensor | None = None, labels: Tensor | None = None
    ) -> list[PlainOutput]:
        """Decode.

        Args:
            features: (B, 256, h, w); the frames of a clip below each other.
            boxes: Prompts as boxes (cx, cy, w, h) in [0, 1], (B, Q, 4); the learned queries when
                left out.
            labels: Kind of each prompt, (B, Q); all 1, the trained one, when left out.

        Returns:
            The predictions of three stages and of the adapter.
        """
        queries, blocked = self.kernels.weight.expand(len(features), -1, -1), None
        if boxes is not None:
            kinds = torch.ones_like(boxes[..., 0]).long() if labels is None else labels
            content = self.pb_embedding(kinds) + self.mask_tokens.weight[0]
            queries = content + self.pos_linear(_box_code(boxes))
            blocked = ~torch.eye(queries.shape[1], dtype=torch.bool, device=queries.device)
        masks = torch.einsum('bqc,bchw->bqhw', queries, features)
        outputs = []
        for stage in self.mask_heads:
            embeddings, masks, iou, queries = stage(features, queries, masks, blocked)
            logits = self._classify(embeddings) / STAGE_TEMPERATURE
            outputs.append(PlainOutput(logits, masks, iou, queries))
        adapt = self._found if boxes is None else self._prompted
        outputs.append(adapt(features, outputs[-1]))
        return outputs

    def _found(self, features: Tensor, last: PlainOutput) -> PlainOutput:
        queries = self.panoptic_attn(pool_hard(last.mask_logits, features), last.queries)
        masks = torch.einsum('bqc,bchw->bqhw', queries, features)
        logits = self._classify(self.panoptic_cls(queries))
        return PlainOutput(logits, masks, last.iou_logits, queries)

    def _prompted(self, features: Tensor, last: PlainOutput) -> PlainOutput:
        pixels = features.flatten(2).transpose(1, 2)
        read = self.prompt_attn.attn(last.queries, pixels, pixels)[0]
        queries = self.prompt_norm(last.queries + read)
        masks = torch.einsum('bqc,bchw->bqhw', queries, features)
        return PlainOutput(last.class_logits, masks, self.prompt_iou(queries), queries)

    def _classify(self, embeddings: Tensor) -> Tensor:
        unit = F.normalize(embeddings, dim=-1)
        cosines = torch.einsum('bqd,kpd->bqkp', unit, self.prototypes)
        logits = cosines.max(dim=-1).values * torch.tensor(LOGIT_SCALE).exp()
        return torch.cat([logits, torch.zeros_like(logits[..., :1])], dim=-1)


def _box_code(boxes: Tensor) -> Tensor:
    """Sine code of boxes (cx, cy, w, h), in the order y, x, w, h."""
    x, y, width, height = boxes.clamp(1e-5, 1 - 1e-5).unbind(-1)
    index = torch.arange(128, device=boxes.device)
    scale = 10000 ** (2 * (index // 2) / 128)
    code = []
    for value in (y, x, width, height):
        phase = value[..., None] * 2 * torch.pi / scale
        code.append(torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], -1).flatten(-2))
    return torch.cat(code, dim=-1)


class PlainRapSAM(nn.Module):
    """The whole network.

    Args:
        depth: Of the ResNet, 18 or 50.
        num_queries: Learned queries Q.
        embed_dim: Width D of class embeddings.
        prototypes: Unit vectors, (K, P, D), things first.
    """

    def __init__(self, depth: int, num_queries: int, embed_dim: int, prototypes: Tensor) -> None:
        super().__init__()
        backbone = getattr(torchvision.models, f'resnet{depth}')(weights=None)
        del backbone.fc, backbone.avgpool
        self.backbone = backbone
        widths = (64, 128, 256, 512) if depth < 50 else (256, 512, 1024, 2048)
        self.neck = PlainNeck(widths)
        self.panoptic_head = PlainHead(num_queries, embed_dim, prototypes)

    def preprocess(self, image: Tensor) -> Tensor:
        """From (3, H, W), uint8, to (1, 3, H', W'), normalised and padded to multiples of 32."""
        mean = torch.tensor(_IMAGENET_MEAN, device=image.device).view(3, 1, 1)
        std = torch.tensor(_IMAGENET_STD, device=image.device).view(3, 1, 1)
        normal = (image.float() - mean) / std
        height, width = image.shape[1:]
        return F.pad(normal, (0, -width % 32, 0, -height % 32))[None]

    def extract(self, inputs: Tensor) -> Tensor:
        """Features (B, 256, H/4, W/4) of (B, 3, H, W)."""
        trunk = self.backbone
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(inputs))))
        feats = []
        for layer in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            x = layer(x)
            feats.append(x)
        return self.neck(feats)

    def forward(self, inputs: Tensor, boxes: Tensor | None = None) -> list[PlainOutput]:
        """All predictions for (B, 3, H, W)."""
        return self.panoptic_head(self.extract(inputs), boxes)
