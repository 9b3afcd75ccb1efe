"""The refs files of RefCOCO, RefCOCO+ and RefCOCOg: which words name which annotation."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seg.datasets.json_fields import INTEGER, LIST, TEXT, Fields, check_fields
from seg.utils.checks import UserError

REF_FIELDS: Fields = {
    'ref_id': INTEGER,
    'ann_id': INTEGER,
    'image_id': INTEGER,
    'split': TEXT,
    'sentences': LIST,
}


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dicts, numbers and texts, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f'it names {module}.{name}')

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError('it names a persistent object')


def read_refs(path: Path) -> list[dict[str, Any]]:
    """Read a refs file: JSON, or the published pickle without running any code in it.

    Args:
        path: ``refs(unc).p``, ``refs(google).p``, ``refs(umd).p``, or the same as ``.json``.

    Returns:
        Entries with ``ref_id``, ``ann_id``, ``image_id``, ``split`` and ``sentences``.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is something else, or a field is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected a refs file, such as refs(unc).p, got a path without a file; check '
            'data_root and refs_file'
        )
    content = _parse(path)
    if not isinstance(content, list) or not content:
        got = 'an empty one' if content == [] else f'a {type(content).__name__}'
        raise UserError(
            f'{path}: expected a list of refs, got {got}; give the file refs(...).p of RefCOCO'
        )
    for place, ref in enumerate(content):
        check_fields(ref, REF_FIELDS, path, f'refs[{place}]')
        if not sentences_of(ref):
            raise UserError(
                f"{path}: expected 'sent' and 'sent_id' in the sentences of refs[{place}], "
                'got none; remove it'
            )
    return content


def _parse(path: Path) -> Any:
    data = path.read_bytes()
    try:
        if path.suffix == '.json':
            return json.loads(data)
        return _PlainUnpickler(io.BytesIO(data), encoding='utf-8', errors='replace').load()
    except _BROKEN as error:
        raise UserError(
            f'{path}: expected JSON (*.json) or a pickle of plain lists, dicts and texts, got '
            f'something else ({error}); download it again, and do not use files of strangers'
        ) from None


# What unpickling or parsing arbitrary bytes raises.
_BROKEN = (
    pickle.UnpicklingError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    OverflowError,
)


def sentences_of(ref: Mapping[str, Any]) -> list[tuple[int, str]]:
    """The expressions of a ref, without those that say nothing: id and text of each."""
    pairs = [(s.get('sent_id'), s.get('sent')) for s in ref['sentences'] if isinstance(s, Mapping)]
    return [
        (number, text.strip())
        for number, text in pairs
        if isinstance(number, int) and isinstance(text, str) and text.strip()
    ]


def held_out_images(refs_files: Iterable[str | Path]) -> set[int]:
    """Ids of the images that any of some refs files uses for validation or tests.

    They are images of COCO train2014 and so of train2017, under the same ids: a model that is to
    be scored on these expressions must not have seen their masks.

    Args:
        refs_files: See :func:`read_refs`.
    """
    return {
        ref['image_id']
        for path in refs_files
        for ref in read_refs(Path(path))
        if ref['split'] != 'train'
    }
