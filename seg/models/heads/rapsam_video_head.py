"""RapSAM's head: one decoder for found and for prompted objects, on images and clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders import FrameSharpener, Sharpen, StagePrediction, draw_masks
from seg.models.heads.asked_objects import AskedObjects
from seg.models.heads.clicks_in_turn import prompts_in_turn
from seg.models.heads.clip_following import ClipFollower
from seg.models.heads.clip_targets import clip_targets
from seg.models.heads.clip_training import ClipTraining
from seg.models.heads.head_building import (
    build_optional,
    build_router,
    check_counts,
    check_memory,
)
from seg.models.heads.mask_resizing import PictureSizes
from seg.models.heads.panoptic_following import PanopticFollower
from seg.models.heads.prompt_training import ObjectTraining, PromptTraining
from seg.models.heads.semantic_auxiliary import SemanticAuxiliary
from seg.models.heads.written_predictions import write_found, write_prompted
from seg.models.losses import StepAverages, Targets
from seg.models.prompts import MaskTokens, PromptQueries
from seg.models.routing import Route, TaskLossTable
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts, StageOutput, Task


@MODELS.register_module()
class RapSAMVideoHead(BaseModule):
    """Decoder stages shared by all tasks, one adapter per kind of task.

    Source: Xu et al., "RAP-SAM: Towards Real-Time All-Purpose Segment Anything", ICLR 2025.
    Object queries are learned; in prompted tasks one query per prompt takes their place.

    Args:
        num_things: Classes [0, num_things) are things.
        num_stuff: The next ``num_stuff`` classes are stuff.
        feat_channels: Width C of queries and ``mask_features``.
        num_queries: Object queries Q.
        num_stages: Decoder stages L.
        embed_channels: Width D of class embeddings.
        stage: Settings of every stage, for example :class:`DecoderStage`.
        object_adapter: Last prediction of found objects.
        prompt_adapter: Last prediction of prompted objects.
        prompt_encoder: Prompts to queries.
        prompt_refiner: What mends the masks of prompted objects at the end, for example
            :class:`MaskRefiner`; none in the published model.
        mask_upsampler: What divides the cells of masks before they are enlarged, for example
            :class:`ConvexUpsampler`; none in the published model.
        click_keeper: What makes answers obey the clicks, for example :class:`ClickKeeper`; not
            in training, and not in the published model.
        text_matcher: What finds the object that a text speaks about among the found ones, for
            example :class:`TextMatcher`; without it, what the query of a text draws is all.
        prompt_alignment: Training loss between prompts and objects, for example
            :class:`PromptAlignment`.
        correction_rounds: Rounds of correcting clicks in a training step, after the first answer.
        memory: What carries objects through videos, for example :class:`StreamingMemoryAdapter`;
            without it, prompted clips are answered as one long picture.
        dual_path: What lets propagated and newly found masks refine each other, for example
            :class:`DualPathRefinement`; needs a memory.
        clip_schedule: Settings of training on clips, of :class:`ClipSchedule`.
        panoptic_tracker: What gives found objects the same ids in all frames of a clip, for
            example :class:`PanopticTracker`; without it clips are predicted as one long picture.
        classifier: Class embeddings to logits.
        router: Task to route; a plain :class:`TaskRouter` when left out.
        criterion: Raw losses.
        fusion: Queries to panoptic maps and instances.
        min_iou_score: Masks of prompted objects whose predicted IoU is below come back empty;
            their row and score stay, so that rows and prompts correspond.
        semantic_auxiliary: Dense auxiliary loss on the features in panoptic training, for
            example :class:`SemanticAuxiliary`; none when left out.
        task_loss_weights: Task -> {loss: weight}, see :class:`TaskLossTable`; its default when
            left out.
    """

    def __init__(
        self,
        num_things: int,
        num_stuff: int,
        *,
        feat_channels: int = 256,
        num_queries: int = 100,
        num_stages: int = 3,
        embed_channels: int = 256,
        stage: dict,
        object_adapter: dict,
        prompt_adapter: dict,
        prompt_encoder: dict,
        prompt_refiner: dict | None = None,
        mask_upsampler: dict | None = None,
        click_keeper: dict | None = None,
        text_matcher: dict | None = None,
        prompt_alignment: dict | None = None,
        correction_rounds: int = 0,
        memory: dict | None = None,
        dual_path: dict | None = None,
        clip_schedule: dict | None = None,
        panoptic_tracker: dict | None = None,
        classifier: dict,
        router: dict | None = None,
        criterion: dict | None = None,
        fusion: dict | None = None,
        min_iou_score: float = 0.0,
        semantic_auxiliary: dict | None = None,
        task_loss_weights: Mapping[str, Mapping[str, float]] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_counts(num_things, num_stuff, correction_rounds)
        self.num_things = num_things
        self.num_stuff = num_stuff
        self.min_iou_score = min_iou_score
        width, embed = dict(feat_channels=feat_channels), dict(embed_channels=embed_channels)
        self.object_queries = nn.Embedding(num_queries, feat_channels)
        self.prompt_encoder = MODELS.build({**width, **prompt_encoder})
        self.stages = nn.ModuleList(
            MODELS.build({**width, **embed, **stage}) for _ in range(num_stages)
        )
        self.object_adapter = MODELS.build({**width, **embed, **object_adapter})
        self.prompt_adapter = MODELS.build({**width, **prompt_adapter})
        self.prompt_refiner = build_optional(prompt_refiner, width)
        self.mask_upsampler = build_optional(mask_upsampler, width)
        self.click_keeper = build_optional(click_keeper, {})
        self.text_matcher = build_optional(text_matcher, width)
        self.prompt_alignment = build_optional(prompt_alignment, width)
        self.correction_rounds = correction_rounds
        check_memory(self.prompt_encoder, memory, dual_path, clip_schedule)
        self.memory = build_optional(memory, width)
        self.dual_path = build_optional(dual_path, width)
        self.clip_schedule: Any = None
        if self.memory is not None:
            self.clip_schedule = MODELS.build({'type': 'ClipSchedule', **(clip_schedule or {})})
        self.classifier = MODELS.build(
            {'num_classes': num_things + num_stuff, **embed, **classifier}
        )
        self.router = build_router(router, num_stages, width, self.memory is not None)
        self.criterion = MODELS.build(criterion or dict(type='SegmentCriterion'))
        counts = dict(num_things=num_things, num_stuff=num_stuff)
        self.fusion = MODELS.build({**counts, **(fusion or dict(type='PanopticFusion'))})
        self.panoptic_tracker = build_optional(panoptic_tracker, counts)
        self.semantic_auxiliary: SemanticAuxiliary | None = None
        if semantic_auxiliary is not None:
            counts = dict(num_classes=num_things + num_stuff)
            self.semantic_auxiliary = MODELS.build({**width, **counts, **semantic_auxiliary})
        self.loss_table = (
            TaskLossTable.default(self.computed_losses)
            if task_loss_weights is None
            else TaskLossTable(task_loss_weights, self.computed_losses)
        )
        # Predictions are those of the stages and of an adapter.
        classes = [f'classes.{i}' for i in range(num_stages + 1)]
        self.step_averages = StepAverages(
            [
                *('masks', 'qualities', 'prompts', 'texts', 'segments'),
                *('proposals', 'searches', 'neighbours', 'pairs', 'tokens'),
                *classes,
            ]
        )

    @property
    def computed_losses(self) -> frozenset[str]:
        """Names of the losses that the head has the parts for."""
        optional = {
            'semantic': self.semantic_auxiliary,
            'prompt_align': self.prompt_alignment,
            'text_visual': self.text_matcher,
            'temporal': self.memory,
            'memory_align': self.memory,
            'object_score': self.memory,
            'dpsr': self.dual_path,
        }
        present = {name for name, part in optional.items() if part is not None}
        return frozenset({'cls', 'mask', 'dice', 'iou', 'panoptic'} | present)

    def forward(
        self,
        mask_features: Tensor,
        context_feats: Tensor | None,
        route: Route,
        prompts: PromptQueries | None = None,
    ) -> list[StageOutput]:
        """Decode a batch of clips of one task.

        Args:
            mask_features: (B, T, C, h, w).
            context_feats: (B, T, C, h', w') or ``None``.
            route: The way to take.
            prompts: The queries of a prompted task; object queries when left out.

        Returns:
            The predictions of the stages and, last, of the adapter.
        """
        outputs = []
        if prompts is None:
            queries, attn_mask = self.object_queries.weight.expand(len(mask_features), -1, -1), None
        else:
            queries, attn_mask = prompts.queries, prompts.attn_mask
        queries = self.router.mark(queries, route)
        mask_logits = draw_masks(queries, mask_features)
        if prompts is not None:
            mask_logits = prompts.first_masks_or(mask_logits)
        for stage in self.stages[: route.num_stages]:
            prediction = stage(
                queries,
                mask_logits,
                mask_features,
                context_feats=context_feats,
                attn_mask=attn_mask,
            )
            queries, mask_logits = prediction.queries, prediction.mask_logits
            outputs.append(self._classify(prediction, final=False))
        adapter = self.prompt_adapter if route.adapter == 'prompt' else self.object_adapter
        final = self._classify(adapter(prediction, mask_features), final=True)
        if final.iou_logits is None:
            final = final._replace(iou_logits=outputs[-1].iou_logits)
        if prompts is not None and self.prompt_refiner is not None:
            final = self._refine(final, prompts, mask_features)
        outputs.append(final)
        return outputs

    def _refine(
        self, final: StageOutput, prompts: PromptQueries, mask_features: Tensor
    ) -> StageOutput:
        assert final.iou_logits is not None, 'prompted objects need a quality estimate'
        hints = prompts.hints.repeat_interleave(prompts.num_tokens, dim=1)
        refined = self.prompt_refiner(mask_features, final.mask_logits, hints)
        return final._replace(
            mask_logits=refined.mask_logits, iou_logits=final.iou_logits + refined.iou_change
        )

    def _classify(self, prediction: StagePrediction, *, final: bool) -> StageOutput:
        embeddings = prediction.class_embeddings
        return StageOutput(
            queries=prediction.queries,
            mask_logits=prediction.mask_logits,
            class_logits=None if embeddings is None else self.classifier(embeddings, final=final),
            iou_logits=prediction.iou_logits,
        )

    def encode_prompts(
        self,
        prompts: Sequence[Prompts],
        samples: Sequence[ClipSample],
        mask_features: Tensor,
        context_feats: Tensor | None,
        tokens: MaskTokens = MaskTokens.SINGLE,
    ) -> AskedObjects:
        """Queries of prompted objects; texts are matched with the objects found in the picture.

        Args:
            prompts: One per sample, in pixels of the padded input.
            samples: For their sizes.
            mask_features: (B, T, C, h, w).
            context_feats: (B, T, C, h', w') or ``None``.
            tokens: Which masks are wanted.
        """
        queries = self.prompt_encoder(
            prompts,
            mask_features,
            canvas=samples[0].batch_input_shape,
            image_shapes=[sample.img_shape for sample in samples],
            tokens=tokens,
        )
        return self.match_texts(queries, mask_features, context_feats)

    def match_texts(
        self, queries: PromptQueries, mask_features: Tensor, context_feats: Tensor | None
    ) -> AskedObjects:
        """Let objects that only a text describes start from what is found in the picture.

        Args:
            queries: Encoded prompts.
            mask_features: (B, T, C, h, w).
            context_feats: (B, T, C, h', w') or ``None``.
        """
        has_texts = any(text is not None for row in queries.texts for text in row)
        if self.text_matcher is None or not (has_texts and bool(queries.is_text_alone.any())):
            return AskedObjects(queries)
        found = self.find_objects(mask_features, context_feats)
        words = self.prompt_encoder.fusion.words(queries.texts_alone())
        matches = self.text_matcher(words, found, mask_features)
        return AskedObjects(queries.with_matches(matches.contents, matches.mask_logits), found)

    @torch.no_grad()
    def find_objects(self, mask_features: Tensor, context_feats: Tensor | None) -> StageOutput:
        """The last prediction of the panoptic path, without gradient; shapes as above."""
        return self(mask_features, context_feats, self.router.routes[Task.PANOPTIC])[-1]

    def decode(
        self, mask_features: Tensor, context_feats: Tensor | None, samples: Sequence[ClipSample]
    ) -> tuple[Route, list[StageOutput]]:
        """Run a batch of one task: its route, and the predictions of all stages."""
        route = self.router.route(samples, num_frames=mask_features.shape[1])
        queries = None
        if route.task.is_prompted:
            prompts = prompts_in_turn(self, route.task, mask_features, context_feats, samples)
            queries = self.encode_prompts(prompts, samples, mask_features, context_feats).queries
        return route, self(mask_features, context_feats, route, queries)

    def loss(
        self, mask_features: Tensor, context_feats: Tensor | None, samples: Sequence[ClipSample]
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch of one task, named ``task/loss_*``."""
        route = self.router.route(samples, num_frames=mask_features.shape[1])
        wanted = self.loss_table.wanted(route.task)
        targets = [self.targets(sample, route.task) for sample in samples]
        auxiliary = self.semantic_auxiliary if 'semantic' in wanted else None
        if all(target.has_no_classes for target in targets):
            auxiliary = None
        step, counts = None, {}
        if auxiliary is None or not auxiliary.is_alone:
            step = self._step(route, wanted, mask_features, context_feats, samples, targets)
            counts = step.counts()
        if auxiliary is not None:
            pixels = auxiliary.prepare(mask_features, targets)
            counts['segments'] = pixels.num_segments
        averages = self.step_averages(route.task, counts, mask_features.device)
        if route.memory and self.training:
            self.clip_schedule.num_steps += 1
        raw = {} if step is None else step.losses(averages)
        if auxiliary is not None:
            raw['semantic'] = auxiliary.loss(mask_features, pixels, averages['segments'])
        return self.loss_table.apply(route.task, raw)

    def _step(
        self,
        route: Route,
        wanted: frozenset[str],
        mask_features: Tensor,
        context_feats: Tensor | None,
        samples: Sequence[ClipSample],
        targets: Sequence[Targets],
    ) -> PromptTraining | ObjectTraining | ClipTraining:
        """Run the decoder for a training step of the route's task."""
        if route.task.is_prompted:
            kind = ClipTraining if route.memory else PromptTraining
            return kind(self, route, wanted, mask_features, context_feats, samples, targets)
        outputs = self(mask_features, context_feats, route)
        return ObjectTraining(self, wanted, mask_features, outputs, samples, targets)

    def targets(self, sample: ClipSample, task: Task) -> Targets:
        """What a clip's queries should answer, see :func:`clip_targets`."""
        return clip_targets(sample, task, self.num_things + self.num_stuff)

    def predict(
        self, mask_features: Tensor, context_feats: Tensor | None, samples: Sequence[ClipSample]
    ) -> list[ClipSample]:
        """Predictions at the size of the original pictures, written into the samples."""
        route, outputs = self.decode(mask_features, context_feats, samples)
        return self.predict_by_feat(outputs[-1], route.task, samples, mask_features)

    def follower(
        self, sample: ClipSample, num_frames: int
    ) -> ClipFollower | PanopticFollower | None:
        """What predicts a clip frame by frame; ``None`` for clips that are predicted whole.

        Args:
            sample: The clip.
            num_frames: Frames T of it.
        """
        route = self.router.route([sample], num_frames=num_frames)
        if route.memory:
            return ClipFollower(self, route, sample)
        if route.task is Task.PANOPTIC and self.panoptic_tracker is not None and num_frames > 1:
            return PanopticFollower(self, route, sample)
        return None

    def predict_prompts(
        self,
        mask_features: Tensor,
        context_feats: Tensor | None,
        samples: Sequence[ClipSample],
        *,
        multimask_output: bool = False,
    ) -> list[ClipSample]:
        """As :meth:`predict` for prompted objects, with candidate masks if they are wanted."""
        route = self.router.route(samples, num_frames=mask_features.shape[1])
        tokens = MaskTokens.CANDIDATES if multimask_output else MaskTokens.SINGLE
        prompts = prompts_in_turn(self, route.task, mask_features, context_feats, samples)
        asked = self.encode_prompts(prompts, samples, mask_features, context_feats, tokens)
        outputs = self(mask_features, context_feats, route, asked.queries)
        return self.predict_by_feat(
            outputs[-1],
            route.task,
            samples,
            mask_features,
            num_tokens=asked.queries.num_tokens,
        )

    def predict_by_feat(
        self,
        output: StageOutput,
        task: Task,
        samples: Sequence[ClipSample],
        mask_features: Tensor,
        *,
        num_tokens: int | None = None,
    ) -> list[ClipSample]:
        """Turn the last prediction into masks, maps and scores.

        Args:
            output: The last prediction.
            task: The task of the batch.
            samples: Where they are written.
            mask_features: (B, T, C, h, w).
            num_tokens: Masks per prompted object, those of a single answer when left out.
        """
        num_tokens = num_tokens or self.prompt_encoder.mask_tokens.num_embeddings
        for i, sample in enumerate(samples):
            sizes = self.picture_sizes(sample, mask_features[i])
            if task.is_prompted:
                write_prompted(self, output, i, sample, sizes, task, mask_features[i], num_tokens)
            else:
                write_found(self.fusion, output, i, sample, sizes)
        return list(samples)

    def sharpening(self, mask_features: Tensor) -> list[Sharpen] | None:
        """What brings masks of clips (B, T, C, h, w) to a finer grid, one each, if there is any."""
        return None if self.mask_upsampler is None else self.mask_upsampler.on(mask_features)

    def picture_sizes(self, sample: ClipSample, mask_features: Tensor) -> PictureSizes:
        """The way from masks to the picture of a sample.

        Args:
            sample: For its sizes.
            mask_features: Of the frames that the masks are of, (T, C, h, w).
        """
        upsampler = self.mask_upsampler
        return PictureSizes(
            canvas=sample.batch_input_shape,
            img_shape=sample.img_shape,
            ori_shape=sample.ori_shape,
            sharpen=None if upsampler is None else FrameSharpener(upsampler, mask_features),
        )
