"""Text embeddings of class names: the prompts, their encoding, and the file that keeps them.

Following ViLD (Gu et al., ICLR 2022), a word is put into several sentences and the normalised
embeddings of these are averaged; a class has one such prototype per synonym.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.utils.checkpoints import read_metadata, read_weights, write_safetensors
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from seg.datasets.label_space import LabelSpace

EncodeText = Callable[[Tensor], Tensor]
Tokenizer = Callable[[list[str]], Tensor]

_SIZES = ('small', 'medium', 'large')

PHOTO_TEMPLATES = (
    'a photo of a {}.',
    'a photo of the {}.',
    'This photo shows a {}.',
    'There is a {} in the scene.',
    'a photo of a {} in its surroundings.',
    *(f'a photo of a {size} {{}}.' for size in _SIZES),
    *(f'This photo shows a {size} {{}}.' for size in _SIZES),
    *(f'There is a {size} {{}} in the scene.' for size in _SIZES),
)
"""The 14 sentences that a word is put into: five plain ones and three in three sizes."""

_TENSOR = 'embedding'
_NORM_TOLERANCE = 1e-3


def check_templates(templates: Sequence[str]) -> None:
    """Make sure that every sentence has one place for the word.

    Raises:
        UserError: If there is no sentence, or one has no ``{}`` or more than one.
    """
    if not templates:
        raise UserError('templates: expected at least one sentence with a {}, got none')
    for template in templates:
        if template.count('{}') != 1 or template.count('{') != 1 or template.count('}') != 1:
            raise UserError(
                f'template {template!r}: expected exactly one {{}}, the place of the class name'
            )


def hash_templates(templates: Sequence[str]) -> str:
    """Fingerprint of the sentences, by which two embeddings can be told to be comparable."""
    return hashlib.sha256('\n'.join(templates).encode()).hexdigest()


@torch.no_grad()
def encode_classes(
    encode_text: EncodeText,
    tokenizer: Tokenizer,
    label_space: LabelSpace,
    templates: Sequence[str] = PHOTO_TEMPLATES,
    batch_size: int = 256,
) -> Tensor:
    """Embed every synonym of every class.

    Args:
        encode_text: Text tower: tokens (N, length) int64 to embeddings (N, D).
        tokenizer: Sentences to tokens.
        label_space: The classes, in the order of their ids.
        templates: Sentences with one ``{}`` each.
        batch_size: Sentences per call of ``encode_text``.

    Returns:
        Unit vectors (K, P, D), float32 on the CPU, where P is the largest number of synonyms;
        classes with fewer repeat their first one.

    Raises:
        UserError: If a template is malformed.
    """
    check_templates(templates)
    words = list(dict.fromkeys(word for info in label_space.classes for word in info.synonyms))
    sentences = [template.format(word) for word in words for template in templates]
    encoded = [
        encode_text(tokenizer(sentences[start : start + batch_size])).float().cpu()
        for start in range(0, len(sentences), batch_size)
    ]
    per_sentence = F.normalize(torch.cat(encoded), dim=-1)
    per_word = per_sentence.unflatten(0, (len(words), len(templates))).mean(dim=1)  # (words, D)
    row = {word: index for index, word in enumerate(words)}
    return F.normalize(per_word, dim=-1)[_synonym_rows(label_space, row)]


def _synonym_rows(label_space: LabelSpace, row: Mapping[str, int]) -> Tensor:
    """The row of each class's synonyms (K, P), the first one repeated as padding."""
    num = max(len(info.synonyms) for info in label_space.classes)
    rows = []
    for info in label_space.classes:
        own = [row[word] for word in info.synonyms]
        rows.append(own + own[:1] * (num - len(own)))
    return torch.tensor(rows)


def write_text_embedding(
    path: str | os.PathLike[str],
    embedding: Tensor,
    label_space: LabelSpace,
    origin: Mapping[str, Any],
) -> None:
    """Write prototypes with what they stand for and how they were made.

    Args:
        path: A ``.safetensors`` file.
        embedding: Unit vectors (K, P, D).
        label_space: The classes, in the order of the rows.
        origin: How they were made, such as the text model, kept in the file's header.

    Raises:
        UserError: If the suffix is another one, or the rows are no unit vectors.
        OSError: If the file cannot be written.
    """
    if Path(path).suffix != '.safetensors':
        raise UserError(f'{path}: expected a file name that ends in .safetensors')
    _check_embedding(path, embedding)
    metadata = {
        'label_space': label_space.name,
        'names': list(label_space.class_names),
        'synonyms': [list(info.synonyms) for info in label_space.classes],
        'num_things': label_space.num_things,
        **origin,
    }
    write_safetensors(path, {_TENSOR: embedding}, metadata)


def read_text_embedding(path: str | os.PathLike[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Read the prototypes of a text classifier.

    Args:
        path: A ``.safetensors`` file made by ``tools/gen_cls.py``.

    Returns:
        Unit vectors (K, P, D), float32, and the names of the K classes.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is another kind of file, or the rows are not finite unit vectors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'text embedding {path}: expected a file made by tools/gen_cls.py, found none there'
        )
    if path.suffix != '.safetensors':
        raise UserError(
            f'text embedding {path}: expected a .safetensors file made by tools/gen_cls.py; '
            f'convert a file that holds the tensor alone with safetensors.torch.save_file('
            f'{{{_TENSOR!r}: torch.load(IN, weights_only=True)}}, OUT)'
        )
    tensors = read_weights(path)
    if _TENSOR not in tensors:
        raise UserError(
            f'text embedding {path}: expected the tensor {_TENSOR!r}, got {sorted(tensors)[:4]}; '
            'make the file with tools/gen_cls.py'
        )
    embedding = tensors[_TENSOR].float()
    _check_embedding(path, embedding)
    names = tuple(json.loads(read_metadata(path).get('names', '[]')))
    if names and len(names) != len(embedding):
        raise UserError(
            f'text embedding {path}: expected one name per class, got {len(names)} names for '
            f'{len(embedding)} classes; make it again with tools/gen_cls.py'
        )
    return embedding, names


def _check_embedding(path: str | os.PathLike[str], embedding: Tensor) -> None:
    if embedding.ndim != 3 or not embedding.numel():
        raise UserError(
            f'text embedding {path}: expected the shape (classes, synonyms, width), got '
            f'{tuple(embedding.shape)}'
        )
    if not torch.isfinite(embedding).all():
        raise UserError(f'text embedding {path}: expected finite numbers, got NaN or infinity')
    norms = embedding.float().norm(dim=-1)
    if (norms - 1).abs().max() > _NORM_TOLERANCE:
        raise UserError(
            f'text embedding {path}: expected rows of length 1, got lengths from '
            f'{norms.min():.4g} to {norms.max():.4g}; normalise each row'
        )
