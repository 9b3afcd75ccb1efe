"""Parts of a head from their settings, and settings that do not go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from seg.registry import MODELS


def build_optional(settings: dict | None, width: Mapping[str, int]) -> Any:
    """The module that settings ask for, if any; ``width`` holds further settings of it."""
    return None if settings is None else MODELS.build({**width, **settings})


def build_router(
    settings: dict | None, num_stages: int, width: Mapping[str, int], has_memory: bool
) -> Any:
    """The router, a plain :class:`TaskRouter` where nothing is asked for.

    Raises:
        ValueError: If it sends clips to a memory that is not there.
    """
    settings = settings or dict(type='TaskRouter')
    known = dict(num_decoder_stages=num_stages, enable_streaming_memory=has_memory)
    router = MODELS.build({**width, **known, **settings})
    if router.enable_streaming_memory and not has_memory:
        raise ValueError(
            'router.enable_streaming_memory: expected False for a head without a memory, got '
            'True; leave it out'
        )
    return router


def check_counts(num_things: Any, num_stuff: Any, correction_rounds: int) -> None:
    """Check the numbers that a head is built with.

    Raises:
        TypeError: If a number of classes is still open.
        ValueError: If there are fewer than no rounds.
    """
    for name, count in (('num_things', num_things), ('num_stuff', num_stuff)):
        if not isinstance(count, int):
            raise TypeError(
                f'RapSAMVideoHead.{name}: expected a number, got {count!r}; a config that '
                'leaves it to the data is built by seg.engine.launch or seg.apis.load_model'
            )
    if correction_rounds < 0:
        raise ValueError(
            f'RapSAMVideoHead.correction_rounds: expected 0 or more, got {correction_rounds}'
        )


def check_memory(
    prompt_encoder: nn.Module,
    memory: dict | None,
    dual_path: dict | None,
    clip_schedule: dict | None,
) -> None:
    """Check that the prompt encoder takes what a memory proposes, and what needs a memory has one.

    Raises:
        ValueError: If not.
    """
    for name, settings in (('dual_path', dual_path), ('clip_schedule', clip_schedule)):
        if settings is not None and memory is None:
            raise ValueError(
                f'RapSAMVideoHead.{name}: expected none for a head without a memory, got '
                f'{settings}; add memory=dict(type=StreamingMemoryAdapter)'
            )
    encoder: Any = prompt_encoder
    single = encoder.mask_tokens.num_embeddings == 1
    if memory is not None and (getattr(encoder, 'fusion', None) is None or not single):
        raise ValueError(
            'RapSAMVideoHead.memory: expected a prompt encoder with a fusion and one mask '
            'token, which takes the masks that the memory proposes, got one without; set '
            'prompt_encoder.fusion and num_mask_tokens=1'
        )
