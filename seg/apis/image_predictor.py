"""Prompting images interactively: features once per image, an answer per question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import Compose

from seg.apis.frame_packing import pack_image, prompts_on_canvas
from seg.apis.image_sources import ImageSource
from seg.apis.overlapped import Upload
from seg.apis.prompt_checks import (
    check_distinct,
    check_min_iou_score,
    check_prompts,
    drop_poor_masks,
)
from seg.apis.prompt_input import as_numbers, make_prompts
from seg.apis.relative_boxes import boxes_in_pixels
from seg.apis.test_pipeline import build_test_transforms
from seg.datasets.imaging import read_image
from seg.models.heads.mask_resizing import resize_masks
from seg.structures import ClipSample, Task
from seg.utils.batches import take_clips
from seg.utils.checks import UserError
from seg.utils.devices import HostCopy, device_of

_PROMPT_NAMES = (
    'points',
    'point_labels',
    'boxes',
    'masks',
    'texts',
    'object_ids',
    'previous_logits',
    'relative_boxes',
)

_SURE = 10.0  # logit of pixels that a mask covers


@dataclass(frozen=True)
class ImageResult:
    """Masks of N prompted objects, M candidates each, best first.

    Attributes:
        masks: (N, M, H, W) at the size of the image; bool, or float32 logits where those were
            asked for (0 is the border, positive inside).
        iou_scores: Predicted quality of each mask, (N, M), in [0, 1].
        low_res_logits: Mask logits at the size of the network's mask features, (N, M, h, w),
            float32; those of the mask that was liked, (N, h, w), refine it as ``previous_logits``.
        object_ids: (N,), int64.
    """

    masks: np.ndarray
    iou_scores: np.ndarray
    low_res_logits: np.ndarray
    object_ids: np.ndarray


class EncodedImages(NamedTuple):
    """Images as the network has seen them.

    Attributes:
        features: Of the whole batch, a named tuple of tensors (B, ...).
        samples: The sizes of each, without prompts.
    """

    features: Any
    samples: list[ClipSample]


class FoundInstances(NamedTuple):
    """All instances of N concepts in an image, concept after concept, best first.

    Attributes:
        masks: (M, H, W), bool.
        scores: (M,), in [0, 1].
        boxes: xyxy, (M, 4), pixels.
        rows: Which concept each one belongs to, (M,), int64.
    """

    masks: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    rows: np.ndarray


class ImagePredictor:
    """Answers clicks, boxes, masks and texts on images that are encoded once.

    Example::

        predictor = ImagePredictor(load_model('rap_sam_nano_shapes'))
        predictor.set_image('photo.jpg')
        first = predictor.predict(points=[[[120, 80]]])
        better = predictor.predict(
            points=[[[120, 80], [150, 90]]],
            point_labels=[[1, 0]],
            previous_logits=first.low_res_logits[:, 0],
        )

    Args:
        model: From :func:`~seg.apis.load_model`.
        min_iou_score: Masks that the model rates lower come back empty.

    Raises:
        UserError: If the model does not answer prompts, its config has no test data, or the score
            is not in [0, 1].
    """

    def __init__(self, model: Any, min_iou_score: float = 0.0) -> None:
        entry = model.entry
        if entry is not None and Task.INTERACTIVE_IMAGE not in entry.tasks:
            raise UserError(
                f'model: expected one that answers prompts (interactive_image), got {entry.name}'
            )
        self.model = model
        self.min_iou_score = check_min_iou_score(min_iou_score)
        self.pipeline = Compose(build_test_transforms(model.cfg))
        self._encoded: EncodedImages | None = None

    def set_image(self, image: ImageSource) -> None:
        """Encode an image, the expensive step; :meth:`predict` then asks about it.

        Args:
            image: A file, or an array (H, W, 3), uint8, RGB.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If it is no image.
        """
        self.set_images([image])

    def set_images(self, images: Sequence[ImageSource]) -> None:
        """Encode several images as one batch, for :meth:`predict_batch`.

        Raises:
            FileNotFoundError: If a file is missing.
            UserError: If there is no image, or one is none.
        """
        if not len(images):
            raise UserError('images: expected at least one image, got none')
        self.reset_image()
        packed = [self._pack(image) for image in images]
        batch = {
            'inputs': [item['inputs'] for item in packed],
            'data_samples': [item['data_samples'] for item in packed],
        }
        with torch.no_grad():
            data = self.model.data_preprocessor(batch, False)
            features = self.model.extract_feat(data['inputs'])
        self._encoded = EncodedImages(features, data['data_samples'])

    def logits_of_mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the image as logits that clicks can mend, as if the model had answered it.

        Args:
            mask: (H, W), bool, at the size of the image.

        Returns:
            ``previous_logits`` of one object, (1, h, w), float32.

        Raises:
            UserError: If there is no image, or the mask has another size.
        """
        sample = self._require_images().samples[0]
        mask = np.asarray(mask)
        if tuple(mask.shape) != tuple(sample.ori_shape):
            raise UserError(
                f'mask: expected the size of the image, {tuple(sample.ori_shape)}, got {mask.shape}'
            )
        prompts = make_prompts(masks=[mask])
        assert prompts is not None, 'there is a mask'
        shown = prompts_on_canvas(prompts, sample).masks
        assert shown is not None, 'there is a mask'
        small = torch.nn.functional.adaptive_avg_pool2d(shown, _map_size(sample.batch_input_shape))
        return (_SURE * (2 * small - 1)).numpy()

    def reset_image(self) -> None:
        """Forget the images and free their features."""
        self._encoded = None

    def predict(
        self,
        points: Any = None,
        point_labels: Any = None,
        boxes: Any = None,
        masks: Any = None,
        texts: Sequence[str | None] | None = None,
        *,
        object_ids: Any = None,
        previous_logits: Any = None,
        relative_boxes: Any = None,
        multimask_output: bool = False,
        return_logits: bool = False,
    ) -> ImageResult:
        """Masks of N objects in the image of :meth:`set_image`.

        Kinds combine: row ``i`` of everything that is given is about object ``i``. All coordinates
        are pixels of the image.

        Args:
            points: (x, y), (N, P, 2).
            point_labels: 1 on the object, 0 beside it, -1 no point, (N, P); all 1 by default.
            boxes: xyxy, (N, 4); rows of NaN for objects without a box.
            masks: At the size of the image, (N, H, W), bool or probabilities; or a list with
                ``None`` for objects without a mask.
            texts: N phrases, ``None`` for objects without one.
            object_ids: (N,), each once; 1..N by default.
            previous_logits: What the model answered last about these objects, (N, h, w), see
                :class:`ImageResult`.
            relative_boxes: xyxy as shares of the width and the height of the image, in [0, 1],
                (N, 4), in the place of ``boxes``.
            multimask_output: Whether every object gets three candidates, for prompts that could
                mean several things.
            return_logits: Whether masks are logits rather than bool.

        Raises:
            UserError: If there is no image or no prompt, or a prompt is wrong, outside the image
                or of a kind that the model does not know.
        """
        given = (
            points,
            point_labels,
            boxes,
            masks,
            texts,
            object_ids,
            previous_logits,
            relative_boxes,
        )
        encoded = self._require_images()
        if len(encoded.samples) > 1:
            raise UserError(
                f'predict: expected one image, got {len(encoded.samples)} from set_images; use '
                'predict_batch'
            )
        (result,) = self.predict_batch(
            [dict(zip(_PROMPT_NAMES, given, strict=True))],
            multimask_output=multimask_output,
            return_logits=return_logits,
        )
        return result

    def predict_batch(
        self,
        prompts: Sequence[Mapping[str, Any]],
        *,
        multimask_output: bool = False,
        return_logits: bool = False,
    ) -> list[ImageResult]:
        """Masks of the objects in each image of :meth:`set_images`, in one step.

        Args:
            prompts: Arguments of :meth:`predict` from ``points`` to ``relative_boxes`` for each
                image, such as ``[dict(points=[[[120, 80]]]), dict(texts=['the red star'])]``.
            multimask_output: As in :meth:`predict`.
            return_logits: As in :meth:`predict`.

        Raises:
            UserError: As in :meth:`predict`; the message names the image.
        """
        encoded = self._require_images()
        if len(prompts) != len(encoded.samples):
            raise UserError(
                f'prompts: expected one set for each of {len(encoded.samples)} images, got '
                f'{len(prompts)}'
            )
        questions = []
        for index, (sample, given) in enumerate(zip(encoded.samples, prompts, strict=True)):
            try:
                questions.append(self._question(sample, given))
            except UserError as error:
                where = '' if len(prompts) == 1 else f'image {index}: '
                raise UserError(f'{where}{error}') from error
        asked = [i for i, question in enumerate(questions) if len(question.prompts)]
        if asked:
            with torch.no_grad():
                self.model.predict_prompts(
                    take_clips(encoded.features, asked),
                    [questions[i] for i in asked],
                    multimask_output=multimask_output,
                )
        num_masks = 3 if multimask_output else 1
        return [self._result(question, num_masks, return_logits) for question in questions]

    def find(self, texts: Sequence[str | None] | None = None, boxes: Any = None) -> FoundInstances:
        """All instances of N concepts in the image of :meth:`set_image`.

        Args:
            texts: A phrase per concept, such as ``['dog', 'red car']``; ``None`` where a box says
                it all.
            boxes: A box around one example per concept, xyxy, pixels, (N, 4); rows of NaN for
                concepts without one.

        Raises:
            UserError: If the model finds no concepts, there is no image, or a prompt is wrong.
        """
        from seg.models.detectors import Sam3Segmentor

        if not isinstance(self.model, Sam3Segmentor):
            raise UserError(
                'find: expected a model that finds all instances of a phrase (Sam3Segmentor), got '
                f'{type(self.model).__name__}; use predict'
            )
        encoded = self._require_images()
        if len(encoded.samples) > 1:
            raise UserError(f'find: expected one image, got {len(encoded.samples)}')
        question = self._question(encoded.samples[0], {'texts': texts, 'boxes': boxes})
        with torch.no_grad():
            self.model.predict_prompts(encoded.features, [question])
        found = question.pred_instances
        return FoundInstances(
            masks=found.masks[:, 0].cpu().numpy(),
            scores=found.scores.float().cpu().numpy(),
            boxes=found.bboxes.float().cpu().numpy(),
            rows=found.rows.cpu().numpy(),
        )

    def _require_images(self) -> EncodedImages:
        if self._encoded is None:
            raise UserError('image: expected set_image before predict, got no image')
        return self._encoded

    def _pack(self, source: ImageSource) -> dict[str, Any]:
        image = source if isinstance(source, np.ndarray) else read_image(Path(source), exif=True)
        device = device_of(self.model)
        return pack_image(self.pipeline, Upload(image, device), Task.INTERACTIVE_IMAGE)

    def _question(self, sample: ClipSample, given: Mapping[str, Any]) -> ClipSample:
        """A sample that asks for the objects, in pixels of the network's input."""
        if not isinstance(given, Mapping):
            raise UserError(
                f'prompts: expected a set such as dict(points=[[[x, y]]]), got {given!r}; for an '
                'image without objects give dict(boxes=[])'
            )
        if unknown := sorted(set(given) - set(_PROMPT_NAMES)):
            raise UserError(
                f'prompts: expected some of {", ".join(_PROMPT_NAMES)}, got {", ".join(unknown)}'
            )
        size, canvas = tuple(sample.ori_shape), tuple(sample.batch_input_shape)
        given = _with_pixel_boxes(given, size)
        arguments = {name: given.get(name) for name in _PROMPT_NAMES[:6]}
        prompts = make_prompts(**arguments)
        if prompts is None:
            raise UserError(
                'prompts: expected points, boxes, masks or texts, got none of them; one click is '
                'points=[[[x, y]]]'
            )
        check_distinct(prompts)
        check_prompts(prompts, size, self.model.prompt_kinds, self.model.prompt_refusals)
        prompts = prompts_on_canvas(prompts, sample)
        logits = given.get('previous_logits')
        if logits is not None:
            prompts = replace(prompts, previous_logits=_previous(logits, len(prompts), canvas))
        question = ClipSample(metainfo=sample.metainfo)
        question.prompts = prompts.to(self._device())
        return question

    def _result(self, question: ClipSample, num_masks: int, return_logits: bool) -> ImageResult:
        ids = question.prompts.object_ids.cpu().numpy()
        if not len(ids):
            kind = np.float32 if return_logits else np.bool_
            return ImageResult(
                masks=np.zeros((0, num_masks, *question.ori_shape), kind),
                iou_scores=np.zeros((0, num_masks), np.float32),
                low_res_logits=np.zeros(
                    (0, num_masks, *_map_size(question.batch_input_shape)), np.float32
                ),
                object_ids=ids,
            )
        drop_poor_masks(question, self.min_iou_score)
        prompted = question.pred_prompted
        logits = prompted.low_res_logits[:, :, 0].float()
        masks = prompted.masks[:, :, 0]
        if return_logits:
            sizes = {name: question.get(name) for name in ('img_shape', 'ori_shape')}
            fine = prompted.get('fine_logits', prompted.low_res_logits)[:, :, 0].float()
            refused = ~masks.flatten(2).any(dim=2)
            masks = resize_masks(fine, canvas=question.batch_input_shape, **sizes)
            masks = torch.where(refused[:, :, None, None], masks.clamp(max=0), masks)
        masks, scores, logits = HostCopy(masks, prompted.iou_scores.float(), logits).wait()
        return ImageResult(masks, scores, logits, ids)

    def _device(self) -> torch.device:
        encoded = self._require_images()
        features = encoded.features
        return (features if isinstance(features, torch.Tensor) else features[0]).device


def _with_pixel_boxes(given: Mapping[str, Any], size: tuple[int, int]) -> Mapping[str, Any]:
    """Prompts whose boxes are in pixels."""
    relative = given.get('relative_boxes')
    if relative is None:
        return given
    if given.get('boxes') is not None:
        raise UserError('relative_boxes: expected no boxes beside them, got both; give one kind')
    return {**given, 'boxes': boxes_in_pixels(relative, size)}


def _map_size(canvas: Sequence[int]) -> tuple[int, int]:
    """Size of mask logits, which have stride 4."""
    return canvas[0] // 4, canvas[1] // 4


def _previous(logits: Any, num_rows: int, canvas: tuple[int, int]) -> torch.Tensor:
    """Earlier logits (N, 1, h, w) from an array (N, h, w)."""
    values = torch.from_numpy(as_numbers('previous_logits', logits, 'logits of shape (N, h, w)'))
    expected = (num_rows, *_map_size(canvas))
    if tuple(values.shape) != expected or not bool(torch.isfinite(values).all()):
        raise UserError(
            f'previous_logits: expected finite logits of shape (N, h, w) = {expected}, got '
            f'{tuple(values.shape)}; pass low_res_logits[:, k] of an answer on this image, k being '
            'the mask that was liked'
        )
    return values[:, None]
