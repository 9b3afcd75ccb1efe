"""Weights and training states on disk: read without unpickling objects, written atomically.

A checkpoint of this project holds tensors and plain containers, nothing else, so reading one never
runs code that the file brings along.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from seg.utils.atomic_write import write_atomically, write_bytes_atomically
from seg.utils.checks import UserError
from seg.utils.key_map import KeyMap
from seg.utils.load_report import LEAST_SHARE, LoadReport, compare, listed

__all__ = [
    'LAST_CHECKPOINT',
    'AdoptsShapes',
    'KeyMap',
    'KnowsOtherNames',
    'LoadReport',
    'StateDict',
    'load_weights',
    'read_checkpoint',
    'read_dataset_meta',
    'read_metadata',
    'read_weights',
    'unwrap_state',
    'write_checkpoint',
    'write_safetensors',
]

LAST_CHECKPOINT = 'last_checkpoint'
"""The file in the folder of a run that names its newest checkpoint."""

StateDict = dict[str, Tensor]

_WRAPPERS = ('state_dict', 'model', 'model_state_dict', 'module', 'weights')
_MAX_OBJECTS = 4
_ZIP, _PICKLE = b'PK\x03\x04', b'\x80'
# What torch.load raises on damaged bytes, found by damaging some.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
)


@runtime_checkable
class AdoptsShapes(Protocol):
    """A module with tensors whose shape the checkpoint decides, within limits of its own."""

    def adopted_shapes(
        self, state: Mapping[str, Tensor], prefix: str
    ) -> Mapping[str, tuple[int, ...]]:
        """Shapes that the module takes on when ``state`` is loaded, by full name.

        Asking changes nothing; the module takes them on in ``load_state_dict``, for example in a
        hook of ``register_load_state_dict_pre_hook``.
        """


@runtime_checkable
class KnowsOtherNames(Protocol):
    """A model whose published weights have other names, or come with those of other models."""

    def own_names(self, state: Mapping[str, Tensor], source: str) -> Mapping[str, Tensor]:
        """The model's weights under its own names, which may be what it is given.

        Args:
            state: Weights as a file has them.
            source: What to call the file in errors.

        Raises:
            UserError: If they belong to another model.
        """


def read_checkpoint(
    path: str | os.PathLike[str], map_location: str | torch.device = 'cpu'
) -> dict[str, Any]:
    """Read a checkpoint file whole: tensors and plain containers.

    Args:
        path: A ``.safetensors`` file, or one written by :func:`write_checkpoint` or
            ``torch.save`` (any other suffix).
        map_location: Device of the tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If the file is empty, truncated, no checkpoint, or needs unpickling of objects.
    """
    path = Path(path).expanduser()
    _check_is_file(path)
    if path.suffix == '.safetensors':
        return dict(_read_safetensors(path, map_location))
    _check_head(path)
    _check_no_archive(path)
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except _UNREADABLE as error:
        raise UserError(_why_unreadable(path, error)) from error
    except OSError as error:  # torch seeks before the beginning of a file that ends early
        if error.errno != errno.EINVAL:
            raise
        raise UserError(_why_unreadable(path, error)) from error
    if not isinstance(content, dict):
        raise UserError(
            f'{path}: expected a checkpoint (a dict of tensors), got {type(content).__name__}; '
            'save model.state_dict() instead'
        )
    return content


def read_weights(
    path: str | os.PathLike[str], map_location: str | torch.device = 'cpu'
) -> StateDict:
    """Read the weights in a file, whatever wraps them.

    Args:
        path: As for :func:`read_checkpoint`; the wrappers ``state_dict``, ``model`` and
            ``model_state_dict`` and the prefix ``module.`` are removed.
        map_location: Device of the tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If the file is no checkpoint, see :func:`read_checkpoint`, or holds no weights.
    """
    return unwrap_state(read_checkpoint(path, map_location), str(path))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the header of a ``.safetensors`` file without its tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If the file is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path).expanduser()
    _check_is_file(path)
    try:
        with safe_open(path, framework='pt') as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(_broken_safetensors(path, error)) from error


def read_dataset_meta(
    path: str | os.PathLike[str], content: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What a checkpoint says about the classes it was trained on, ``None`` if it does not.

    Checkpoints of other projects keep other things under ``meta``; those say nothing here.

    Args:
        path: The file.
        content: What :func:`read_checkpoint` read from it.

    Raises:
        UserError: If a ``.safetensors`` file holds class names that cannot be read.
    """
    path = Path(path)
    meta: Any = content.get('meta')
    found: Any = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    if path.suffix == '.safetensors':
        text = read_metadata(path).get('dataset_meta', 'null')
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(
                f'{path}: expected class names as JSON in dataset_meta of its header, got '
                f'{text[:60]!r}; write it anew with tools/model_converters/pack_weights.py'
            ) from error
    if not isinstance(found, Mapping) or 'classes' not in found:
        return None
    return dict(found)


def unwrap_state(content: Mapping[str, Any], name: str = 'checkpoint') -> StateDict:
    """Take the weights out of what a checkpoint file holds.

    Args:
        content: Weights, or a dict that holds them under ``state_dict``, ``model`` and the like.
        name: What to call the checkpoint in errors.

    Raises:
        UserError: If there are no weights in it.
    """
    tensors = _find_tensors(content)
    if not tensors:
        raise UserError(
            f'{name}: expected weights (tensors by name, or under one of '
            f'{", ".join(_WRAPPERS)}), got the keys {listed(list(map(str, content)))}'
        )
    if all(key.startswith('module.') for key in tensors):
        tensors = {key.removeprefix('module.'): value for key, value in tensors.items()}
    return tensors


def write_checkpoint(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write tensors and plain containers as ``torch.save`` does, atomically.

    Args:
        path: Where to write.
        content: Nested dicts, lists and tuples of tensors, numbers, strings, bools and ``None``.

    Raises:
        UserError: If something else is in ``content``: it could not be read back safely.
        OSError: If the file cannot be written; see :func:`~seg.utils.atomic_write`.
    """
    needed = _check_plain(content, 'checkpoint')
    write_atomically(path, lambda file: torch.save(dict(content), file), needed)


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write weights as safetensors, atomically.

    Args:
        path: Where to write.
        tensors: Weights by name; tensors that share memory are written once each.
        metadata: Kept in the header; values that are no strings are stored as JSON.

    Raises:
        OSError: If the file cannot be written.
    """
    from safetensors.torch import save

    header = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in (metadata or {}).items()
    }
    content = save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, header)
    write_bytes_atomically(path, content)


def load_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    strict: bool = True,
    allowed_missing: Collection[str] = (),
    name: str = 'weights',
) -> LoadReport:
    """Load weights into a model and say exactly what did not fit.

    Args:
        model: Receives the weights.
        state: Weights by name.
        strict: Whether anything that does not fit is an error; otherwise what fits is loaded.
        allowed_missing: Regular expressions of names that the file need not have.
        name: What to call the weights in errors.

    Raises:
        UserError: If ``strict`` and something does not fit, or if nearly nothing fits: less than a
            tenth of the values in the file or in the model, whichever has fewer; or if there are
            NaNs among the weights. The model is as it was.
    """
    if isinstance(model, KnowsOtherNames):
        state = model.own_names(state, name)
    own = {
        key: tuple(value.shape)
        for key, value in model.state_dict().items()
        if isinstance(value, Tensor)
    }
    for path, module in model.named_modules():
        if isinstance(module, AdoptsShapes):
            own.update(module.adopted_shapes(state, f'{path}.' if path else ''))
    mismatched = {
        key: (own[key], tuple(value.shape))
        for key, value in state.items()
        if key in own and own[key] != tuple(value.shape)
    }
    fitting = {key: value for key, value in state.items() if key not in mismatched}
    report = compare(own, state, mismatched, allowed_missing)
    if report.share < LEAST_SHARE or (strict and not report.complete):
        raise UserError(
            f'cannot load {name} into {type(model).__name__}: {report.summary()}. Use the config '
            'that it was trained with'
        )
    _check_numbers({key: value for key, value in fitting.items() if key in own}, name)
    model.load_state_dict(fitting, strict=False)
    return report


def _check_numbers(state: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights of a training that failed; all answers would be NaN."""
    broken = [key for key, value in state.items() if _has_nan(value)]
    if broken:
        raise UserError(
            f'{name}: expected numbers, got NaN in {len(broken)} of {len(state)} tensors '
            f'({listed(broken)}); use a checkpoint from before the training diverged'
        )


def _has_nan(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and not tensor.is_meta and bool(tensor.isnan().any())


def _read_safetensors(path: Path, map_location: str | torch.device) -> StateDict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=str(map_location))
    except SafetensorError as error:
        raise UserError(_broken_safetensors(path, error)) from error


def _broken_safetensors(path: Path, error: Exception) -> str:
    return f'{path}: not a readable safetensors file (truncated or foreign): {error}'


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        what = 'a folder' if path.is_dir() else 'nothing'
        raise FileNotFoundError(f'checkpoint {path}: expected a file, found {what} there')


def _check_head(path: Path) -> None:
    """Recognise files that are no checkpoint from their first bytes."""
    with open(path, 'rb') as file:
        head = file.read(64)
    if not head:
        raise UserError(f'{path}: expected a checkpoint, got an empty file')
    if head.startswith((_ZIP, _PICKLE)):
        return
    kind = 'a file of another kind'
    if head.startswith(b'version https://git-lfs'):
        kind = 'a Git LFS pointer (run "git lfs pull")'
    elif head.lstrip().lower().startswith((b'<!doctype', b'<html')):
        kind = 'a web page (the download failed)'
    raise UserError(
        f'{path}: expected a checkpoint written by torch.save or a .safetensors file, got {kind}; '
        'look whether the right file was named, or copy it again'
    )


def _check_no_archive(path: Path) -> None:
    """Recognise archives, which begin as checkpoints do."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith('/')]
    if names and not any(Path(name).name in ('data.pkl', 'constants.pkl') for name in names):
        raise UserError(
            f'{path}: expected a checkpoint, got a zip archive of {listed(names)}; unpack it '
            f'and give the file inside: unzip {path}'
        )


def _why_unreadable(path: Path, error: Exception) -> str:
    names = _object_names(path, error)
    if not names:
        return f'{path}: not a readable checkpoint, truncated or damaged: {_first_line(error)}'
    return (
        f'{path}: refused, because it holds pickled objects ({", ".join(names)}), and unpickling '
        'can run code; expected tensors and plain containers. If you trust the file, convert it '
        "once: python -c \"import torch; c = torch.load('IN', weights_only=False); "
        "torch.save({'state_dict': c.get('state_dict', c)}, 'OUT')\""
    )


def _object_names(path: Path, error: Exception) -> list[str]:
    """Which objects a pickle would create, as far as they can be told without creating them."""
    if not isinstance(error, pickle.UnpicklingError):
        return []
    found = re.findall(r'GLOBAL ([\w.]+)', str(error))
    with open(path, 'rb') as file:
        is_zip = file.read(4) == _ZIP
    if found and is_zip:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    return sorted(set(found))[:_MAX_OBJECTS]


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split('. ')[0][:200]


def _find_tensors(content: Mapping[str, Any]) -> StateDict:
    """Tensors under the first wrapper that has some, or else those beside the wrappers."""
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, Mapping) and (tensors := _find_tensors(inner)):
            return tensors
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _check_plain(value: Any, where: str) -> int:
    """Make sure that a safe reader can read ``value`` back; returns its tensors' bytes."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(_check_plain(item, f'{where}[{key!r}]') for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_check_plain(item, f'{where}[{index}]') for index, item in enumerate(value))
    if value is None or type(value) in (bool, int, float, str, bytes):
        return 0
    raise UserError(
        f'{where}: expected tensors and plain containers in a checkpoint, got '
        f'{type(value).__module__}.{type(value).__qualname__}; convert it to numbers or tensors'
    )
