"""RefCOCO, RefCOCO+ and RefCOCOg: objects of COCO images and the words that name them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.coco_files import (
    IMAGE_FIELDS,
    CocoCategories,
    check_image_size,
    digest_annotations,
    read_coco_json,
    read_named_image,
)
from seg.datasets.coco_instance import decode_segmentation
from seg.datasets.index import Column, Index, cached_index, digest_file
from seg.datasets.json_fields import ANYTHING, INTEGER, Fields, entries_by_id
from seg.datasets.referring_files import held_out_images, read_refs, sentences_of
from seg.datasets.samples import image_sample, segments, stack_masks
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message

KIND, VERSION = 'refcoco', 2
"""Names the index of this format, and the version of its columns."""

ANNOTATION_FIELDS: Fields = {
    'id': INTEGER,
    'category_id': INTEGER,
    'segmentation': ANYTHING,  # looked at when it is drawn
}


def load_refcoco_index(refs_file: Path, ann_file: Path) -> Index:
    """The index of a refs file and its annotation file, from the cache.

    Image ``i`` has the refs ``offsets[i]:offsets[i + 1]``. Columns per image: ``img_ids`` (JSON
    texts), ``sizes`` (H, W), ``img_files``; per ref: ``splits``, ``ann_ids``, ``category_ids``,
    ``sentences`` (JSON lists of id and text), ``segmentations`` (JSON texts).

    Raises:
        FileNotFoundError: If a file is missing.
        UserError: If a field is missing, or a ref names an unknown annotation or image.
    """
    if not refs_file.is_file():
        read_refs(refs_file)  # raises
    digests = digest_annotations(ann_file) + digest_file(refs_file)
    content = hashlib.sha256(digests.encode()).hexdigest()
    return cached_index(
        KIND, VERSION, refs_file, content, lambda: _build_index(refs_file, ann_file)
    )


def _build_index(refs_file: Path, ann_file: Path) -> Index:
    content = read_coco_json(ann_file)
    categories = CocoCategories.all_things(content['categories'], ann_file).ids
    images = entries_by_id(content['images'], IMAGE_FIELDS, ann_file, 'image', 'images')
    annotations = entries_by_id(
        content['annotations'], ANNOTATION_FIELDS, ann_file, 'annotation', 'annotations'
    )
    of_image: dict[Any, list[Mapping[str, Any]]] = {}
    for ref in read_refs(refs_file):
        _check_ref(ref, images, annotations, refs_file, ann_file)
        _check_category(annotations[ref['ann_id']], categories, ann_file)
        of_image.setdefault(ref['image_id'], []).append(ref)
    chosen = [images[image_id] for image_id in of_image]
    refs = [ref for group in of_image.values() for ref in group]
    named = [annotations[ref['ann_id']] for ref in refs]
    columns: dict[str, Column] = {
        'img_ids': [json.dumps(image['id']) for image in chosen],
        'sizes': np.array([(image['height'], image['width']) for image in chosen], dtype=np.int32),
        'img_files': [image['file_name'] for image in chosen],
        'offsets': np.cumsum([0, *map(len, of_image.values())], dtype=np.int64),
        'splits': [ref['split'] for ref in refs],
        'ann_ids': np.array([ref['ann_id'] for ref in refs], dtype=np.int64),
        'category_ids': np.array([row['category_id'] for row in named], dtype=np.int64),
        'sentences': [json.dumps(sentences_of(ref)) for ref in refs],
        'segmentations': [json.dumps(row['segmentation']) for row in named],
    }
    return Index(columns, {'categories': content['categories']})


def _check_ref(
    ref: Mapping[str, Any],
    images: Mapping[Any, Any],
    annotations: Mapping[Any, Mapping[str, Any]],
    refs_file: Path,
    ann_file: Path,
) -> None:
    for key, known in (('image_id', images), ('ann_id', annotations)):
        if ref[key] not in known:
            raise UserError(
                f'{refs_file}: expected {key} of ref {ref["ref_id"]} to be in {ann_file}, got '
                f'{ref[key]}; use the two files of one data set'
            )


def _check_category(
    annotation: Mapping[str, Any], categories: Sequence[int], ann_file: Path
) -> None:
    if annotation['category_id'] not in categories:
        raise UserError(
            f'{ann_file}: expected category_id of annotation {annotation["id"]} to be one of the '
            f"ids in 'categories', got {annotation['category_id']}; add the category or mend the "
            'annotation'
        )


@DATASETS.register_module()
class RefCocoDataset(ClipDataset):
    """Images with the objects that people named, and what they said.

    A sample is an image with its refs of one split. In training there is one row per object, with
    one of its expressions, drawn anew each time; object ids are annotation ids. In test mode there
    is one row per expression, so an object occurs as often as it has expressions; object ids are
    the ids of the expressions (``sent_id``).

    The pixels are those of COCO train2014, whose images are part of train2017 under the same ids:
    ``image_template='{id:012d}.jpg'`` reads them there.

    Args:
        refs_file: ``refs(unc).p``, ``refs(google).p``, ``refs(umd).p``, or the same as JSON.
        ann_file: ``instances.json`` beside it.
        img_dir: Folder of the images.
        split: ``'train'``, ``'val'``, ``'test'``, ``'testA'`` or ``'testB'``, as the file has it.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        image_template: Name of an image, with its ``id``; by default its ``file_name``.
        test_mode: Whether the samples are for evaluation.
        held_out_refs: Refs files of other expressions on the same images; those that they use for
            validation and tests are left out.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        FileNotFoundError: If a file is missing.
        UserError: If a file is broken, the files do not fit together, there is no such split, or
            nothing of it is left.
    """

    def __init__(
        self,
        refs_file: str | Path,
        ann_file: str | Path,
        img_dir: str | Path,
        split: str,
        task: Task | str,
        pipeline: Pipeline,
        *,
        image_template: str | None = None,
        test_mode: bool = False,
        held_out_refs: Sequence[str | Path] = (),
        dataset_name: str = 'refcoco',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        self.refs_file, self.ann_file = Path(refs_file), Path(ann_file)
        self.img_dir = Path(img_dir)
        self.index = load_refcoco_index(self.refs_file, self.ann_file)
        categories = CocoCategories.all_things(self.index.meta['categories'], self.ann_file)
        metainfo = {**categories.metainfo, 'dataset_name': dataset_name}
        super().__init__(
            task, pipeline, metainfo, seed, test_mode=test_mode, max_bad_samples=max_bad_samples
        )
        self.labels = categories.labels
        self.image_template = image_template
        splits = np.array(list(self.index.texts('splits')))
        if split not in splits:
            known = sorted(set(splits.tolist()))
            raise UserError(f'{self.refs_file}: {unknown_name_message("split", split, known)}')
        self.refs = np.flatnonzero(splits == split)
        image_of_ref = np.searchsorted(self.index['offsets'], self.refs, side='right') - 1
        if held_out_refs:
            held_out = {json.dumps(image_id) for image_id in held_out_images(held_out_refs)}
            is_held_out = np.array([text in held_out for text in self.index.texts('img_ids')])
            kept = ~is_held_out[image_of_ref]
            self.refs, image_of_ref = self.refs[kept], image_of_ref[kept]
            if not len(self.refs):
                raise UserError(
                    f'{self.refs_file}: expected images of the split {split} that are not held '
                    'out, got none; check held_out_refs'
                )
        self.rows, self.starts = np.unique(image_of_ref, return_index=True)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.rows)

    def load(self, index: int) -> dict[str, Any]:
        """Read one image with the first expression of each object, or all in test mode.

        Raises:
            FileNotFoundError: If the image is missing.
            UserError: If it is broken, its size disagrees with the file, or a mask is malformed.
        """
        refs = self._refs_of(index)
        sentences = [self._sentences(ref) for ref in refs]
        if not self.test_mode:
            return self._read(index, refs, [texts[0][1] for texts in sentences])
        rows = [place for place, texts in enumerate(sentences) for _ in texts]
        results = self._read(index, refs, [text for texts in sentences for _, text in texts], rows)
        ids = [number for texts in sentences for number, _ in texts]
        results['object_ids'] = torch.tensor(ids, dtype=torch.long)
        return results

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Read one image with one expression of each object, or all of them in test mode."""
        if self.test_mode:
            return self.load(index)
        refs = self._refs_of(index)
        texts = []
        for ref in refs:
            sentences = self._sentences(ref)
            texts.append(sentences[int(rng.integers(len(sentences)))][1])
        return self._read(index, refs, texts)

    def _refs_of(self, index: int) -> list[int]:
        stop = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.refs)
        return self.refs[self.starts[index] : stop].tolist()

    def _sentences(self, ref: int) -> list[tuple[int, str]]:
        """Id and text of each expression."""
        return json.loads(self.index.texts('sentences').raw(ref))

    def _read(
        self,
        index: int,
        refs: Sequence[int],
        texts: list[str],
        rows: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """An image whose segment ``i`` is object ``refs[rows[i]]``, called ``texts[i]``."""
        rows = range(len(refs)) if rows is None else rows
        row = int(self.rows[index])
        img_id = json.loads(self.index.texts('img_ids')[row])
        name = self.index.texts('img_files')[row]
        if self.image_template is not None:
            name = self.image_template.format(id=img_id)
        size = tuple(self.index['sizes'][row].tolist())
        img_path = self.img_dir / name
        image = read_named_image(img_path, self.ann_file, img_id)
        check_image_size(img_path, image.shape[:2], size, self.ann_file)
        ids = self.index['ann_ids'][refs].tolist()
        masks = torch.from_numpy(stack_masks([self._mask(ref, size) for ref in refs], size))
        labels = [self.labels[int(self.index['category_ids'][ref])] for ref in refs]
        known: dict[str, Any] = segments(
            masks[list(rows)], [labels[place] for place in rows], [ids[place] for place in rows]
        )
        known['expressions'] = texts
        return image_sample(image, known, img_id, img_path, self.metainfo['dataset_name'])

    def _mask(self, ref: int, size: tuple[int, ...]) -> np.ndarray:
        """Mask of a ref, (H, W), bool."""
        code = json.loads(self.index.texts('segmentations').raw(ref))
        where = f'{self.ann_file}: annotation {self.index["ann_ids"][ref]}'
        return decode_segmentation(code, size, where)
