"""SA-1B and other large collections of masks without classes, read from tar shards."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from seg.datasets.clip_dataset import Pipeline
from seg.datasets.imaging import MAX_PIXELS
from seg.datasets.mask_collection import AnnotatedImage, MaskCollection
from seg.datasets.shards import find_shards, load_shard_index, read_member, sample_place
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError

_DECODERS = ('JPEG', 'PNG', 'WEBP')


def decode_member(content: bytes, where: str) -> np.ndarray:
    """Decode an image of one of the kinds that shards may hold, (H, W, 3), uint8, RGB.

    Args:
        content: The file.
        where: Its name, for messages.

    Raises:
        UserError: If it is broken, too large, or of another kind.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_DECODERS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(
                    f'{where}: expected at most {MAX_PIXELS} pixels, got {image.width} x '
                    f'{image.height}; scale the image down first'
                )
            return np.array(image.convert('RGB'))
    except UserError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f'{where}: expected a readable image ({", ".join(_DECODERS)}), got a broken or foreign '
            f'one ({error}); copy or download the shard again'
        ) from None


@DATASETS.register_module()
class ShardDataset(MaskCollection):
    """Images with masks that have no class, in webdataset-compatible tar shards.

    A sample is an image and a JSON annotation in the format of SA-1B. Samples are read one by one
    through an index of offsets, so that shuffling, splitting over ranks and workers, and resuming
    are those of any other data set. Nothing but images and JSON is decoded.

    Args:
        shards: A folder of ``*.tar``, or one or several tar files, on this machine.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        max_segments: How many masks of a training image are decoded, chosen at random each time;
            all by default. An image of SA-1B has about a hundred, of some megabytes each.
        test_mode: Whether the samples are for evaluation.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.
    """

    def __init__(
        self,
        shards: str | Path | Sequence[str | Path],
        task: Task | str,
        pipeline: Pipeline,
        *,
        max_segments: int | None = None,
        test_mode: bool = False,
        dataset_name: str = 'shards',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        super().__init__(
            task,
            pipeline,
            dataset_name,
            max_segments=max_segments,
            test_mode=test_mode,
            seed=seed,
            max_bad_samples=max_bad_samples,
        )
        self.shards = find_shards(shards)
        self.index = load_shard_index(self.shards)
        if not len(self):
            raise UserError(f'{self.shards[0].parent}: expected samples in the shards, got none')

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.index['shard'])

    def read_files(self, index: int) -> AnnotatedImage:
        """Read the annotation of one sample, and say how to read its image.

        Raises:
            FileNotFoundError: If a shard is missing.
            UserError: If the shard changed.
        """
        number, pair = sample_place(self.index, index)
        shard = self.shards[number]
        where = f'{shard}: {pair.key}'
        return AnnotatedImage(
            lambda: decode_member(read_member(shard, pair.key, pair.image), where),
            read_member(shard, pair.key, pair.annotation),
            where,
            f'{where}.json',
            shard / pair.key,
            pair.key,
        )
