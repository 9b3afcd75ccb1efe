"""Tensors that depend on sizes alone, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, cast

import torch
from torch import Tensor

P = ParamSpec('P')
_MOST = 16  # of one kind: maps for as many sizes of frames


def made_once(make: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Keep the tensors that a function makes of hashable values, such as sizes and a device.

    They are shared: nobody may change them in place. Where they become part of an exported program
    or of a CUDA graph, which may outlive what is kept here, they are made anew.
    """

    def make_for_all(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        with torch.inference_mode(mode=False):  # training may use them later
            return make(*args, **kwargs)

    kept = cast(Callable[P, Tensor], lru_cache(maxsize=_MOST)(make_for_all))

    @wraps(make)
    def get(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if torch.compiler.is_compiling() or _is_recording():
            return make(*args, **kwargs)
        return kept(*args, **kwargs)

    return get


def _is_recording() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
