"""RapSAM's head: one decoder for found and for prompted objects, on images and clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from seg.models.decoders import StagePrediction, draw_masks
from seg.models.heads.mask_resizing import PictureSizes, resized_binary_masks
from seg.models.heads.semantic_auxiliary import SemanticAuxiliary
from seg.models.losses import StepAverages, Targets
from seg.models.prompts import PromptQueries
from seg.models.routing import Route, TaskLossTable
from seg.registry import MODELS
from seg.structures import ClipSample, StageOutput, Task


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
        object_queries: Where the queries of found objects come from; :class:`LearnedQueries`
            when left out.
        stage: Settings of every stage, for example :class:`DecoderStage`.
        object_adapter: Last prediction of found objects.
        prompt_adapter: Last prediction of prompted objects.
        prompt_encoder: Prompts to queries.
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
        object_queries: dict | None = None,
        stage: dict,
        object_adapter: dict,
        prompt_adapter: dict,
        prompt_encoder: dict,
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
        for name, count in (('num_things', num_things), ('num_stuff', num_stuff)):
            if not isinstance(count, int):
                raise TypeError(
                    f'RapSAMVideoHead.{name}: expected a number, got {count!r}; a config that '
                    'leaves it to the data is built by seg.engine.launch or seg.apis.load_model'
                )
        self.num_things = num_things
        self.num_stuff = num_stuff
        self.min_iou_score = min_iou_score
        width, embed = dict(feat_channels=feat_channels), dict(embed_channels=embed_channels)
        self.object_queries = self._build_queries(object_queries, num_queries, {**width, **embed})
        self.prompt_encoder = MODELS.build({**width, **prompt_encoder})
        self.stages = nn.ModuleList(
            MODELS.build({**width, **embed, **stage}) for _ in range(num_stages)
        )
        self.object_adapter = MODELS.build({**width, **embed, **object_adapter})
        self.prompt_adapter = MODELS.build({**width, **prompt_adapter})
        self.classifier = MODELS.build(
            {'num_classes': num_things + num_stuff, **embed, **classifier}
        )
        self.router = self._build_router(router, num_stages, width)
        self.criterion = MODELS.build(criterion or dict(type='SegmentCriterion'))
        counts = dict(num_things=num_things, num_stuff=num_stuff)
        self.fusion = MODELS.build({**counts, **(fusion or dict(type='PanopticFusion'))})
        self.semantic_auxiliary: SemanticAuxiliary | None = None
        if semantic_auxiliary is not None:
            counts = dict(num_classes=num_things + num_stuff)
            self.semantic_auxiliary = MODELS.build({**width, **counts, **semantic_auxiliary})
        self.loss_table = (
            TaskLossTable.default(self.computed_losses)
            if task_loss_weights is None
            else TaskLossTable(task_loss_weights, self.computed_losses)
        )
        # Predictions are those of proposals, of the stages and of an adapter.
        classes = [f'classes.{i}' for i in range(num_stages + 2)]
        self.step_averages = StepAverages(['masks', 'segments', *classes])

    @property
    def computed_losses(self) -> frozenset[str]:
        """Names of the losses that the head has the parts for."""
        semantic = set() if self.semantic_auxiliary is None else {'semantic'}
        return frozenset({'cls', 'mask', 'dice', 'iou', 'panoptic'} | semantic)

    @staticmethod
    def _build_router(settings: dict | None, num_stages: int, width: Mapping[str, int]) -> Any:
        settings = settings or dict(type='TaskRouter')
        known = dict(num_decoder_stages=num_stages, enable_streaming_memory=False)
        router = MODELS.build({**width, **known, **settings})
        if router.enable_streaming_memory:
            raise ValueError(
                'router.enable_streaming_memory: expected False for a head without a memory, got '
                'True; leave it out'
            )
        return router

    @staticmethod
    def _build_queries(
        settings: dict | None, num_queries: int, sizes: Mapping[str, int]
    ) -> nn.Module:
        if settings is None:
            settings = dict(type='LearnedQueries')
        return MODELS.build({'num_queries': num_queries, **sizes, **settings})

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
            The predictions of proposals, if any, of the stages and, last, of the adapter.
        """
        outputs = []
        mask_logits = None
        if prompts is None:
            found = self.object_queries(mask_features, context_feats, self.classifier)
            queries, attn_mask = found.queries, None
            if found.proposals is not None:
                outputs.append(self._classify(found.proposals, final=False))
        else:
            queries, attn_mask = prompts.queries, prompts.attn_mask
            mask_logits = prompts.first_masks
        queries = self.router.mark(queries, route)
        if mask_logits is None:
            mask_logits = draw_masks(queries, mask_features)
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
        outputs.append(final)
        return outputs

    def _classify(self, prediction: StagePrediction, *, final: bool) -> StageOutput:
        embeddings = prediction.class_embeddings
        return StageOutput(
            queries=prediction.queries,
            mask_logits=prediction.mask_logits,
            class_logits=None if embeddings is None else self.classifier(embeddings, final=final),
            iou_logits=prediction.iou_logits,
        )

    def encode_prompts(self, samples: Sequence[ClipSample], mask_features: Tensor) -> PromptQueries:
        """Queries of the samples' prompts; features are (B, T, C, h, w)."""
        return self.prompt_encoder(
            [sample.prompts for sample in samples],
            mask_features,
            canvas=samples[0].batch_input_shape,
            image_shapes=[sample.img_shape for sample in samples],
        )

    def decode(
        self, mask_features: Tensor, context_feats: Tensor | None, samples: Sequence[ClipSample]
    ) -> tuple[Route, list[StageOutput]]:
        """Run a batch of one task: its route, and the predictions of all stages."""
        route = self.router.route(samples, num_frames=mask_features.shape[1])
        prompts = None
        if route.task.is_prompted:
            prompts = self.encode_prompts(samples, mask_features)
        return route, self(mask_features, context_feats, route, prompts)

    def loss(
        self, mask_features: Tensor, context_feats: Tensor | None, samples: Sequence[ClipSample]
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch of one task, named ``task/loss_*``."""
        route, outputs = self.decode(mask_features, context_feats, samples)
        targets = [self.targets(sample, route.task) for sample in samples]
        wanted = self.loss_table.wanted(route.task)
        auxiliary = self.semantic_auxiliary if 'semantic' in wanted else None
        if all(target.has_no_classes for target in targets):
            auxiliary = None
        counts = self.criterion.counts(outputs, targets)
        if auxiliary is not None:
            pixels = auxiliary.prepare(mask_features, targets)
            counts['segments'] = pixels.num_segments
        averages = self.step_averages(route.task, counts, mask_features.device)
        raw = self.criterion(outputs, targets, wanted, averages)
        if auxiliary is not None:
            raw['semantic'] = auxiliary.loss(mask_features, pixels, averages['segments'])
        return self.loss_table.apply(route.task, raw)

    def targets(self, sample: ClipSample, task: Task) -> Targets:
        """What a clip's queries should answer.

        Crowd regions are nobody's target. In prompted tasks the mask tokens of an object share
        its target.
        """
        segments = sample.gt_segments
        annotated = self._annotated_classes(sample)
        if not task.is_prompted:
            wanted = ~segments.is_crowd
            return Targets(segments.masks[wanted], segments.labels[wanted], annotated=annotated)
        num_tokens = self.prompt_encoder.mask_tokens.num_embeddings
        rows = sample.prompt_targets.repeat_interleave(num_tokens)
        return Targets(
            masks=segments.masks[rows],
            labels=segments.labels[rows],
            queries=torch.arange(len(rows), device=rows.device),
            annotated=annotated,
        )

    def _annotated_classes(self, sample: ClipSample) -> Tensor | None:
        """Which classes the sample's data set annotates, (K,), bool; ``None`` for all."""
        labels = sample.get('annotated_classes')
        if labels is None:
            return None
        device = sample.gt_segments.labels.device
        annotated = torch.zeros(self.num_things + self.num_stuff, dtype=torch.bool, device=device)
        annotated[torch.as_tensor(labels, dtype=torch.long, device=device)] = True
        return annotated

    def predict(
        self, mask_features: Tensor, context_feats: Tensor | None, samples: Sequence[ClipSample]
    ) -> list[ClipSample]:
        """Predictions at the size of the original pictures, written into the samples."""
        route, outputs = self.decode(mask_features, context_feats, samples)
        return self.predict_by_feat(outputs[-1], route.task, samples)

    def predict_by_feat(
        self, output: StageOutput, task: Task, samples: Sequence[ClipSample]
    ) -> list[ClipSample]:
        """Turn the last prediction into masks, maps and scores."""
        for i, sample in enumerate(samples):
            sizes = PictureSizes(
                canvas=sample.batch_input_shape,
                img_shape=sample.img_shape,
                ori_shape=sample.ori_shape,
            )
            if task.is_prompted:
                self._predict_prompted(output, i, sample, sizes)
            else:
                self._predict_objects(output, i, sample, sizes)
        return list(samples)

    def _predict_objects(
        self, output: StageOutput, i: int, sample: ClipSample, sizes: PictureSizes
    ) -> None:
        assert output.class_logits is not None, 'found objects need class logits'
        index, scores, labels = self.fusion.kept(output.class_logits[i])
        logits = output.mask_logits[i]
        sample.pred_panoptic = self.fusion.panoptic(logits[index], scores, labels, sizes)
        index, scores, labels = self.fusion.candidates(output.class_logits[i])
        sample.pred_instances = self.fusion.instances(
            logits, scores, labels, queries=index, sizes=sizes
        )

    def _predict_prompted(
        self, output: StageOutput, i: int, sample: ClipSample, sizes: PictureSizes
    ) -> None:
        """Rank an object's candidate masks by predicted quality and drop the poor ones."""
        assert output.iou_logits is not None, 'prompted objects need a quality estimate'
        num_tokens = self.prompt_encoder.mask_tokens.num_embeddings
        num_rows = len(sample.prompts)
        quality = output.iou_logits[i, : num_rows * num_tokens].float().clamp(0, 1)
        ranked, order = quality.view(num_rows, num_tokens).sort(dim=1, descending=True)
        first_row = num_tokens * torch.arange(num_rows, device=order.device).unsqueeze(1)
        logits = output.mask_logits[i, (first_row + order).flatten()]
        masks = resized_binary_masks(logits, sizes).unflatten(0, (num_rows, num_tokens))
        masks &= (ranked >= self.min_iou_score)[:, :, None, None, None]
        sample.pred_prompted = InstanceData(
            object_ids=sample.prompts.object_ids,
            masks=masks,
            iou_scores=ranked,
        )
