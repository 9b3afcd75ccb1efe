"""SAM 3 as a model of the package: all instances of a phrase, or of what a box shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ext.sam3 import (
    EXEMPLAR_PHRASE,
    LEVELS,
    TEXT_PARTS,
    UNREACHABLE,
    WHERE,
    ConceptOutputs,
    Sam3Variant,
    build_sam3,
    check_phrases,
    encode_text,
    encode_vision,
    ground,
    image_weights,
    initialise,
    phrase_tokens,
    prune_blocks,
    sam3_variant,
    unpack_levels,
)
from seg.models.detectors.concept_answers import (
    NUM_CANDIDATES,
    best_instances,
    join_passes,
    no_instances,
    row_instances,
    row_phrases,
)
from seg.models.detectors.phrase_memory import ClosedVocabulary, PhraseEmbedding, PhraseMemory
from seg.models.detectors.promptable import zero_of
from seg.models.detectors.tuned_segmentor import TunedSegmentor, images_of_prompts
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts
from seg.structures.prompted_masks import TOKENS, Candidates, PromptedMasks, rank_candidates
from seg.utils.checkpoints import load_weights, unwrap_state
from seg.utils.checks import UserError
from seg.utils.devices import device_of
from seg.utils.weight_coverage import inherit_weights


@MODELS.register_module()
class Sam3Segmentor(TunedSegmentor):
    """SAM 3's image model with the names of transformers' ``Sam3Model`` for weights.

    Source: Carion et al., "SAM 3: Segment Anything with Concepts", 2025. A row of prompts is a
    concept: a phrase, a box around an example, or both; ``pred_instances`` holds all its instances
    and ``pred_prompted`` the best one. An image is encoded once for any number of rows, a phrase
    once per run unless the text encoder is trained.

    Args:
        variant: A key of ``ext.sam3.SAM3_VARIANTS``, or the fields of a
            :class:`ext.sam3.Sam3Variant`.
        image_size: Side of the canvas, pixels; by default the variant's own.
        phrases: All phrases that a model without text encoder knows.
        drop_text_encoder: Whether the model is built without text encoder, for weights written
            after :meth:`keep_phrases`.
        score_threshold: Least confidence of an instance.
        train_text: Whether the text encoder is trained.
        train_exemplars: Whether the encoder of boxes is trained; needs boxes in training.
        strategy: What else is trained: config of a :class:`~seg.models.peft.TuningStrategy`; by
            default everything but the image encoder.
        max_prompts: Rows decoded at a time in evaluation.
        embedding_cache: See :class:`TunedSegmentor`.
        criterion: Config of a :class:`~seg.models.losses.ConceptCriterion`.
        data_preprocessor: By default SAM 3's normalisation and a canvas of ``image_size``.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` to start from weights of the same
            sizes; ``dict(type='Inherited', checkpoint=FILE, least_share=0.5)`` to take over what
            fits from a deeper model, and refuse if that is less than ``least_share`` of all values
            but the text encoder's.

    Raises:
        UserError: If transformers is missing, or settings do not fit together.
    """

    prompt_kinds = frozenset({'box', 'text'})
    encoder_blocks = 'vision_encoder.backbone.layers'
    knows_classes = False
    where_weights = WHERE
    attention_layers = ('q_proj', 'k_proj', 'v_proj', 'o_proj')
    prompt_refusals = MappingProxyType(
        {'click': 'SAM 3 finds concepts by phrases and example boxes; clicks are for its tracker'}
    )

    def __init__(
        self,
        variant: str | Mapping[str, Any] | Sam3Variant = 'standard',
        *,
        image_size: int | None = None,
        phrases: Sequence[str] = (),
        drop_text_encoder: bool = False,
        score_threshold: float = 0.3,
        train_text: bool = False,
        train_exemplars: bool = False,
        strategy: dict[str, Any] | None = None,
        max_prompts: int = 4,
        embedding_cache: dict[str, Any] | None = None,
        criterion: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise UserError(
                f'model.score_threshold: expected a share in [0, 1], got {score_threshold}'
            )
        sizes = variant if isinstance(variant, Sam3Variant) else sam3_variant(variant)
        sizes = replace(sizes, image_size=image_size or sizes.image_size)
        normalised = dict(mean=(127.5,) * 3, std=(127.5,) * 3, pad_divisor=sizes.image_size)
        preprocessor = dict(type='ClipPreprocessor') | normalised
        super().__init__(
            ranking='single',
            data_preprocessor=data_preprocessor or preprocessor,
            init_cfg=init_cfg,
        )
        self.variant = sizes
        self.set_canvas(sizes.image_size, sizes.patch_size)
        self.score_threshold = score_threshold
        self.max_prompts = max_prompts
        self.concept_criterion = MODELS.build(dict(type='ConceptCriterion') | dict(criterion or {}))
        for name, module in build_sam3(sizes, with_text=not drop_text_encoder).items():
            self.add_module(name, module)
        self.vocabulary: ClosedVocabulary | None = None
        self._memory = PhraseMemory()
        self.register_load_state_dict_pre_hook(lambda *unused: self._memory.clear())
        if drop_text_encoder:
            self.vocabulary = self._empty_vocabulary(phrases)
        self._choose_trained(strategy, embedding_cache, train_text, train_exemplars)

    def init_weights(self) -> None:
        """Start from the weights of ``init_cfg``, of the image or the video model, or from none.

        Raises:
            FileNotFoundError: If there is no such file, with where to get it.
            UserError: If none is named, or it is unreadable or belongs to another model.
        """
        init_cfg = self.init_cfg
        kind = init_cfg.get('type') if isinstance(init_cfg, Mapping) else None
        if init_cfg is None or kind == 'Inherited':
            initialise(self)
        if init_cfg is None:
            self.is_init = True
            return
        if kind not in ('Pretrained', 'Inherited'):
            super().init_weights()
            return
        source = str(init_cfg.get('checkpoint', ''))
        state = self.own_names(_read_start(source), source)
        if kind == 'Inherited':
            coverage = inherit_weights(
                self,
                prune_blocks(state, self.variant),
                least_share=init_cfg.get('least_share', 0.5),
                uncounted=TEXT_PARTS,
                name=source,
            )
            print_log(f'inherited from {source}:\n{coverage.table()}', 'current')
        else:
            load_weights(self, state, allowed_missing=self.added_parts, name=source)
        self.is_init = True

    def own_names(self, state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
        """The image model's weights, see :func:`ext.sam3.image_weights`."""
        return image_weights(state, source)

    @property
    def image_encoder(self) -> nn.Module:  # type: ignore[override]
        """The image encoder with its feature pyramid."""
        return self.vision_encoder

    @property
    def prompt_encoder(self) -> nn.Module:
        """The encoder of exemplar boxes."""
        return self.geometry_encoder

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """Shape (C, h, w) of an image's embedding: maps of three scales, packed."""
        channels = self.variant.width * sum(scale * scale for scale in LEVELS)
        return channels, self.variant.grid, self.variant.grid

    def encode_images(self, images: Tensor) -> Tensor:
        """Embed normalised images (B, 3, H, W); see :func:`ext.sam3.unpack_levels`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.encoder_is_frozen):
            return encode_vision(self.vision_encoder, images)

    def embed_phrases(self, phrases: Sequence[str]) -> PhraseEmbedding:
        """Embeddings of P >= 1 phrases.

        Raises:
            UserError: If one is empty or too long, or unknown to a closed vocabulary.
        """
        check_phrases(phrases)
        if self.vocabulary is not None:
            return self.vocabulary.look_up(phrases)
        if self.training and any(value.requires_grad for value in self.text_encoder.parameters()):
            return self._encode_phrases(phrases)
        return self._memory.look_up(phrases, self._encode_phrases)

    def keep_phrases(self, phrases: Sequence[str]) -> None:
        """Remove the text encoder; from now on these phrases are known, with the same answers.

        A model without text encoder keeps those that it is told to.

        Raises:
            UserError: If there is none, or one is empty, too long or no longer known.
        """
        was_training = self.training
        self.eval()
        vocabulary = self._empty_vocabulary(phrases)
        known = self.embed_phrases(vocabulary.phrases)
        vocabulary.embeddings, vocabulary.valid = known.text.detach().clone(), known.valid.clone()
        if self.vocabulary is None:
            for name in TEXT_PARTS:
                delattr(self, name)
        self.vocabulary = vocabulary
        self.train(was_training)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> dict[str, Tensor]:
        """Losses of a batch whose samples have phrases, see ``ConceptPhrases``."""
        embeddings = self.embed_samples(batch_inputs, batch_data_samples)
        return self.loss_of_embeddings(embeddings, batch_data_samples)

    def loss_of_embeddings(
        self, embeddings: Tensor, batch_data_samples: list[ClipSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch whose images are embedded already, (B, C, h, w)."""
        prompts = [sample.prompts for sample in batch_data_samples]
        passes = list(self._passes(embeddings, prompts))
        # Processes stay in step: all of them count instances, and train what others may train.
        if not passes:
            self.concept_criterion.mean_count([], embeddings.device)
            return {'loss_untouched': self._zero()}
        losses = self.concept_criterion(join_passes(passes), batch_data_samples)
        trained = any(value.requires_grad for value in self.geometry_encoder.parameters())
        if trained and not any(bool(rows.has_box.any()) for rows in prompts):
            losses['loss_untouched'] = zero_of(self.geometry_encoder)
        return losses

    def decode_prompts(
        self, embeddings: Tensor, prompts: Sequence[Prompts], candidates: Candidates = 'all'
    ) -> list[PromptedMasks]:
        """The best instances of each row; where a box shows one, those under it.

        Args:
            embeddings: (B, C, h, w).
            prompts: B sets of prompts, in pixels of the canvas.
            candidates: The best one, the next three, or all four.

        Raises:
            UserError: If a row has neither phrase nor box.
        """
        boxes = torch.cat([rows.boxes for rows in prompts])
        best = [
            (rows, best_instances(outputs, boxes[rows.to(boxes.device)], self.image_size))
            for rows, outputs in self._passes(embeddings, prompts)
        ]
        return self._answers(best, prompts, embeddings, candidates)

    def predict_prompts(
        self, features: Tensor, samples: list[ClipSample], *, multimask_output: bool = False
    ) -> list[ClipSample]:
        """Answer phrases and boxes on images that were embedded before.

        Returns:
            The samples with ``pred_prompted`` as in :class:`PromptableSegmentor`, and
            ``pred_instances``: all instances of all rows, masks (N, 1, H, W), scores (N,), bboxes
            (N, 4), ``rows`` (N,) and labels (N,), which are those of the phrases where the sample
            has ``phrase_labels`` and the rows otherwise.
        """
        prompts = [sample.prompts for sample in samples]
        counts = list(map(len, prompts))
        owners = images_of_prompts(counts).tolist()
        boxes = torch.cat([rows.boxes for rows in prompts])
        starts = [0, *accumulate(counts)]
        best: list[tuple[Tensor, PromptedMasks]] = []
        instances: dict[int, InstanceData] = {}
        for rows, outputs in self._passes(features, prompts):
            shown = boxes[rows.to(boxes.device)]
            best.append((rows, best_instances(outputs, shown, self.image_size)))
            for i, row in enumerate(rows.tolist()):
                sample, place = samples[owners[row]], row - starts[owners[row]]
                instances[row] = row_instances(
                    outputs, i, place, sample, self._sizes(sample), self.score_threshold
                )
        outputs_of = self._answers(best, prompts, features, 'all')
        for index, (sample, output) in enumerate(zip(samples, outputs_of, strict=True)):
            ranked = rank_candidates(
                output, sample.prompts, 'multi' if multimask_output else self.ranking
            )
            sample.pred_prompted = self._predict_sample(output, ranked, sample)
            found = [instances[row] for row in range(starts[index], starts[index + 1])]
            sample.pred_instances = InstanceData.cat(found) if found else no_instances(sample)
        return samples

    def train(self, mode: bool = True) -> Sam3Segmentor:
        """Switch modes; phrases are embedded anew after training."""
        self._memory.clear()
        super().train(mode)
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> Sam3Segmentor:
        self._memory.clear()
        return super()._apply(fn, recurse)

    def _choose_trained(
        self,
        strategy: dict[str, Any] | None,
        embedding_cache: dict[str, Any] | None,
        text: bool,
        exemplars: bool,
    ) -> None:
        """Freeze what is not trained, and what can never get a gradient."""
        self.set_strategy(strategy, embedding_cache)
        for part in (self.detr_encoder, self.detr_decoder, self.dot_product_scoring):
            part.requires_grad_(self.strategy.mask_decoder)
        if not exemplars:
            self.geometry_encoder.requires_grad_(False)
        if self.vocabulary is None:
            for name in TEXT_PARTS:
                getattr(self, name).requires_grad_(text)
        for name, value in self.named_parameters():
            if any(re.search(pattern, name) for pattern in UNREACHABLE):
                value.requires_grad_(False)

    def _empty_vocabulary(self, phrases: Sequence[str]) -> ClosedVocabulary:
        if not phrases:
            raise UserError(
                'model.phrases: expected the phrases that the model knows without its text '
                'encoder, got none'
            )
        check_phrases(phrases)
        sizes = self.variant
        return ClosedVocabulary((*phrases, EXEMPLAR_PHRASE), sizes.text_length, sizes.width)

    def _encode_phrases(self, phrases: Sequence[str]) -> PhraseEmbedding:
        device = device_of(self)
        tokens, valid = (
            value.to(device) for value in phrase_tokens(phrases, self.variant.text_length)
        )
        return PhraseEmbedding(encode_text(self, tokens, valid), valid)

    def _passes(
        self, embeddings: Tensor, prompts: Sequence[Prompts]
    ) -> Iterator[tuple[Tensor, ConceptOutputs]]:
        """Rows of all images (n,) that are decoded together, and what is found for them."""
        if not sum(map(len, prompts)):
            return
        boxes = torch.cat([rows.boxes for rows in prompts])
        shown = torch.cat([rows.has_box for rows in prompts]).cpu()
        texts = row_phrases(prompts, shown)
        names = list(dict.fromkeys(texts))
        text, valid = self.embed_phrases(names)
        which = torch.tensor([names.index(name) for name in texts])
        images, levels = images_of_prompts([*map(len, prompts)]), unpack_levels(embeddings)
        for kind in (False, True):
            of_kind = (shown == kind).nonzero()[:, 0]
            for part in self._row_slices(len(of_kind)):
                rows = of_kind[part]
                here, said = images[rows].to(embeddings.device), which[rows].to(text.device)
                example = boxes[rows.to(boxes.device)] / self.image_size if kind else None
                yield (
                    rows,
                    ground(
                        self,
                        [level[here] for level in levels],
                        text[said],
                        valid[said],
                        None if example is None else bbox_xyxy_to_cxcywh(example),
                    ),
                )

    def _answers(
        self,
        best: Sequence[tuple[Tensor, PromptedMasks]],
        prompts: Sequence[Prompts],
        embeddings: Tensor,
        candidates: Candidates,
    ) -> list[PromptedMasks]:
        """Rows in the order of the images, from those of each pass."""
        kept, side = TOKENS[candidates], LEVELS[-1] * self.variant.grid
        none = embeddings.new_zeros(0, NUM_CANDIDATES, side, side)
        nothing = (torch.zeros(0, dtype=torch.long), PromptedMasks(none, none[..., 0, 0]))
        passes = [
            (rows, answers.mask_logits[:, kept], answers.iou_scores[:, kept])
            for rows, answers in best or [nothing]
        ]
        return self._by_image(passes, list(map(len, prompts)), embeddings, candidates)


def _read_start(source: str) -> dict[str, Tensor]:
    """Weights to start from; errors say where published ones are to be had."""
    if not source:
        raise UserError(f'model.init_cfg.checkpoint: expected weights of SAM 3, got none; {WHERE}')
    if '://' not in source and not Path(source).is_file():
        raise FileNotFoundError(f'{source}: expected weights of SAM 3, found none; {WHERE}')
    try:
        content = CheckpointLoader.load_checkpoint(source, 'cpu', logger='silent')
    except UserError as error:
        raise UserError(f'{error}; {WHERE}') from error
    return unwrap_state(content, source)
