"""How prompted models are examined: simulated people who correct masks click by click."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from mmengine.structures import InstanceData
from torch import Tensor

from seg.evaluation.functional.clicks import click_inside, largest_error, mask_iou
from seg.registry import TASK_UTILS
from seg.structures import ClipSample, PointLabel, Prompts
from seg.utils.batches import take_clips
from seg.utils.checks import UserError

# What a model has to understand for a mask to be corrected.
_CORRECTION_KINDS = frozenset({'multi_click', 'negative_click'})


@TASK_UTILS.register_module()
class ClickProtocol:
    """Clicks until a mask is good, and one answer for every other prompt.

    Every row of kind ``'click'`` becomes a session: after each answer the most wrong place is
    clicked (:func:`~seg.evaluation.functional.next_click`, on masks of the original resolution)
    and the model answers again, from all clicks and its own last answer. Rows of other kinds are
    answered once; kinds that the model does not know are left out, and a model that knows single
    clicks only gets one. Features are computed once per batch, and objects that are done leave it.

    Args:
        max_clicks: Clicks of a full session.
        stop_at: IoU in (0, 1] at which a session ends, after ``min_clicks``.
        min_clicks: Clicks that a session has however good its mask is, unless it is perfect, so
            that mIoU after that many clicks is not cut short.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(self, max_clicks: int = 20, stop_at: float = 0.90, min_clicks: int = 5) -> None:
        if max_clicks < 1 or min_clicks < 1:
            raise ValueError(
                f'max_clicks, min_clicks: expected 1 or more, got {max_clicks} and {min_clicks}'
            )
        if not 0 < stop_at <= 1:
            raise ValueError(f'stop_at: expected an IoU in (0, 1], got {stop_at}')
        self.max_clicks = max_clicks
        self.stop_at = stop_at
        self.min_clicks = min_clicks

    @torch.no_grad()
    def run(self, model: Any, data: dict[str, Any]) -> list[ClipSample]:
        """Examine a model on a batch of images.

        Args:
            model: Of the surface of :class:`~seg.models.detectors.RapSAM`, wrapped or not.
            data: ``inputs`` and ``data_samples`` as a data loader gives them, with ground truth at
                the original size, ``prompts`` and ``prompt_targets``; ``prompt_kinds`` in the
                metainfo names the kind of each row, all are clicks when left out.

        Returns:
            The samples with ``pred_prompted``: ``object_ids`` (N,), the last ``masks``
            (N, 1, T, H, W) and ``iou_scores`` (N, 1), ``prompt_kind`` (N strings), and of click
            rows (others hold NaN and zeros) ``click_ious`` (N, C), ``num_negative`` (N,), the
            negative clicks, and ``num_removed`` (N,), those after which at least half of the
            wrong region that they lay in had left the mask. Their
            ``prompts`` hold all clicks that were made.

        Raises:
            UserError: If a sample is a clip of several frames or has no ground truth.
        """
        model = model.module if is_model_wrapper(model) else model
        data = model.data_preprocessor(data, False)
        features = model.extract_feat(data['inputs'])
        kinds = model.prompt_kinds
        num_clicks = self.max_clicks if kinds >= _CORRECTION_KINDS else 1
        exams = [_Exam(sample, kinds, num_clicks) for sample in data['data_samples']]
        rows = [np.arange(len(exam.prompts)) for exam in exams]
        for number in range(num_clicks):
            asked = [i for i, chosen in enumerate(rows) if len(chosen)]
            if not asked:
                break
            samples = [exams[i].question(rows[i]) for i in asked]
            answers = model.predict_prompts(take_clips(features, asked), samples)
            for i, answer in zip(asked, answers, strict=True):
                exams[i].note(rows[i], answer.pred_prompted, number)
            if number + 1 == num_clicks:
                break
            threshold = self.stop_at if number + 1 >= self.min_clicks else 1.0
            rows = [exam.click(number, threshold) for exam in exams]
        return [exam.finish() for exam in exams]


class _Exam:
    """One image of a batch: its prompts as they grow, and the last answer to each.

    Args:
        sample: The image's sample, which :meth:`finish` completes.
        known_kinds: The model's ``prompt_kinds``.
        num_clicks: Clicks C of a full session.
    """

    def __init__(self, sample: ClipSample, known_kinds: frozenset[str], num_clicks: int) -> None:
        _check_sample(sample)
        kinds = sample.get('prompt_kinds') or ['click'] * len(sample.prompts)
        kept = [row for row, kind in enumerate(kinds) if kind in known_kinds]
        self.sample = sample
        self.kinds = [kinds[row] for row in kept]
        self.prompts: Prompts = sample.prompts[kept]
        self.targets = sample.prompt_targets.cpu()[kept]
        masks = sample.gt_segments.masks[:, 0].cpu().numpy()
        self.truth = [masks[row] for row in self.targets.tolist()]
        num = len(kept)
        height, width = sample.ori_shape
        self.masks = np.zeros((num, height, width), dtype=bool)
        self.scores = np.zeros(num, dtype=np.float32)
        self.ious = np.full((num, num_clicks), np.nan)
        self.negative: dict[int, np.ndarray] = {}  # row -> region of its latest click, (H, W)
        self.num_negative = np.zeros(num, dtype=np.int64)
        self.num_removed = np.zeros(num, dtype=np.int64)

    def question(self, rows: np.ndarray) -> ClipSample:
        """A sample that asks for these rows."""
        sample = ClipSample(metainfo=self.sample.metainfo)
        sample.prompts = self.prompts[rows.tolist()]
        return sample

    def note(self, rows: np.ndarray, answer: InstanceData, number: int) -> None:
        """Keep the best masks of an answer, and measure those of click rows."""
        self.masks[rows] = answer.masks[:, 0, 0].cpu().numpy()
        self.scores[rows] = answer.iou_scores[:, 0].float().cpu().numpy()
        self._keep_logits(rows, answer.low_res_logits[:, 0])
        for row in rows.tolist():
            if self.kinds[row] == 'click':
                self.ious[row, number] = mask_iou(self.masks[row], self.truth[row])
            if row in self.negative:
                region = self.negative.pop(row)
                left = np.count_nonzero(region & ~self.masks[row])
                self.num_removed[row] += 2 * left >= np.count_nonzero(region)

    def click(self, number: int, threshold: float) -> np.ndarray:
        """Make the next click of every session that goes on.

        Args:
            number: Clicks made so far, less one.
            threshold: IoU at which a session ends.

        Returns:
            The rows that were clicked.
        """
        coords = self.prompts.point_coords.new_zeros(len(self.prompts), 1, 2)
        labels = self.prompts.point_labels.new_full(coords.shape[:2], int(PointLabel.PADDING))
        height, width = self.sample.ori_shape
        scale = self.sample.img_shape[1] / width, self.sample.img_shape[0] / height
        clicked = []
        for row in np.flatnonzero(self.ious[:, number] < threshold).tolist():
            error = largest_error(self.masks[row], self.truth[row])
            if error is None:
                continue
            click = click_inside(error.region, is_positive=error.is_missed)
            coords[row, 0] = coords.new_tensor((click.x * scale[0], click.y * scale[1]))
            labels[row, 0] = PointLabel.FOREGROUND if click.is_positive else PointLabel.BACKGROUND
            clicked.append(row)
            if not click.is_positive:
                self.negative[row] = error.region
                self.num_negative[row] += 1
        if clicked:
            self.prompts = self.prompts.with_points(coords, labels)
        return np.array(clicked, dtype=np.int64)

    def finish(self) -> ClipSample:
        """The sample with what the metric reads."""
        sample = self.sample
        sample.prompts = replace(self.prompts, previous_logits=None)
        sample.prompt_targets = self.targets
        sample.set_metainfo({'prompt_kinds': self.kinds})
        sample.pred_prompted = InstanceData(
            object_ids=self.prompts.object_ids,
            masks=torch.from_numpy(self.masks)[:, None, None],
            iou_scores=torch.from_numpy(self.scores)[:, None],
            prompt_kind=self.kinds,
            click_ious=torch.from_numpy(self.ious),
            num_negative=torch.from_numpy(self.num_negative),
            num_removed=torch.from_numpy(self.num_removed),
        )
        return sample

    def _keep_logits(self, rows: np.ndarray, logits: Tensor) -> None:
        """Make an answer part of the next question."""
        previous = self.prompts.previous_logits
        if previous is None:
            previous = logits.new_zeros(len(self.prompts), *logits.shape[1:])
        previous[torch.from_numpy(rows).to(previous.device)] = logits
        self.prompts = replace(self.prompts, previous_logits=previous)


def _check_sample(sample: ClipSample) -> None:
    if 'gt_segments' not in sample or 'prompts' not in sample or 'prompt_targets' not in sample:
        raise UserError(
            'ClickProtocol: expected samples with ground truth and prompts made from it, got one '
            'without; put EvaluationPrompts into the test pipeline'
        )
    masks = sample.gt_segments.masks
    if masks.shape[1] != 1 or tuple(masks.shape[-2:]) != tuple(sample.ori_shape):
        raise UserError(
            'ClickProtocol: expected ground truth of one frame at the original size '
            f'{tuple(sample.ori_shape)}, got {tuple(masks.shape[1:])}; use TestResize rather than '
            'ClipResize, and images rather than clips'
        )
