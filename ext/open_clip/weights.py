"""Where the weights of an open_clip model are, and which of them belong to which tower."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import open_clip

from seg.utils.checkpoints import StateDict, read_weights
from seg.utils.checks import UserError

_IMAGE_PREFIX = 'visual.'
_TEXT_PREFIX = 'text.'
_NEITHER = ('logit_scale', 'logit_bias')


def locate_weights(model_name: str, source: str | os.PathLike[str]) -> Path:
    """Find the file with the weights of a model.

    Args:
        model_name: A model of open_clip.
        source: A file, or a tag under which open_clip publishes weights of this model; these
            come from open_clip's cache or, the first time, over the network.

    Raises:
        FileNotFoundError: If it is neither a file nor a tag.
        OSError: If the weights of a tag cannot be downloaded.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    tags = open_clip.list_pretrained_tags_by_model(model_name)
    if str(source) in tags:
        return _download(model_name, str(source))
    raise FileNotFoundError(
        f'CLIP weights {str(source)!r} of {model_name}: expected a file (looked for '
        f'{path.absolute()}) or a published tag ({", ".join(tags) or "none for this model"}). '
        f'{_how_to_get(model_name, tags[-1] if tags else "")}'
    )


def image_weights(path: Path, unused: Collection[str]) -> StateDict:
    """Read the weights of the image tower out of those of a whole model.

    Args:
        path: The file.
        unused: Prefixes of weights to leave out, as an ``ImageTrunk`` names them.

    Returns:
        Weights named as in the trunk.

    Raises:
        UserError: If the file cannot be read safely or holds no image tower.
    """
    tower = _tower(read_weights(path), _IMAGE_PREFIX, path)
    kept = {key: value for key, value in tower.items() if not key.startswith(tuple(unused))}
    return {key.removeprefix('trunk.'): value for key, value in kept.items()}


def text_weights(path: Path) -> StateDict:
    """Read the weights of the text tower out of those of a whole model.

    Args:
        path: The file.

    Returns:
        Weights named as in open_clip's text transformer.

    Raises:
        UserError: If the file cannot be read safely or holds no text tower.
    """
    state = read_weights(path)
    if any(key.startswith(_TEXT_PREFIX) for key in state):
        return _tower(state, _TEXT_PREFIX, path)
    own = {
        key: value
        for key, value in state.items()
        if not key.startswith(_IMAGE_PREFIX) and key not in _NEITHER
    }
    if 'token_embedding.weight' not in own:
        raise _no_tower('text', path, state)
    return own


def _tower(state: StateDict, prefix: str, path: Path) -> StateDict:
    own = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    if not own:
        raise _no_tower(prefix.rstrip('.'), path, state)
    return own


def _no_tower(kind: str, path: Path, state: StateDict) -> UserError:
    return UserError(
        f'{path}: expected the weights of a CLIP model in the naming of open_clip with its {kind} '
        f'tower, got {", ".join(list(state)[:3])}, ...'
    )


def _download(model_name: str, tag: str) -> Path:
    config = open_clip.get_pretrained_cfg(model_name, tag)
    try:
        with _quiet_hub():
            return Path(open_clip.download_pretrained(config))
    except (OSError, RuntimeError) as error:
        raise OSError(
            f'CLIP weights {tag!r} of {model_name}: cannot be downloaded and are not in the '
            f'cache ({str(error).splitlines()[0][:160]}). {_how_to_get(model_name, tag)}'
        ) from error


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub client from reporting each of its attempts."""
    logger = logging.getLogger('huggingface_hub')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _how_to_get(model_name: str, tag: str) -> str:
    hub = (open_clip.get_pretrained_cfg(model_name, tag) if tag else {}).get('hf_hub', '')
    repository = hub.strip('/')
    if not repository:
        return 'Download the weights of the model and give the path of the file'
    return (
        'Fetch them once where there is a network with "hf download '
        f'{repository} open_clip_model.safetensors --local-dir weights" and give the path of the '
        'file'
    )
