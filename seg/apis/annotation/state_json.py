"""The objects of an item as JSON and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from seg.apis.annotation.run_lengths import decode_mask
from seg.apis.annotation.state import (
    BACKWARD,
    FORWARD,
    AnnotatedObject,
    Click,
    FrameMask,
    FramePrompts,
    ItemState,
    Origin,
)
from seg.utils.checks import UserError

FORMAT = 'rapsam-annotation-item-1'


def state_to_json(state: ItemState) -> str:
    """JSON of everything in a state."""
    objects = [_object_to_json(one) for one in state.objects.values()]
    content = {'format': FORMAT, 'next_id': state.next_id, 'objects': objects}
    return json.dumps(content, separators=(',', ':'))


def state_from_json(text: str, size: tuple[int, int], where: str) -> ItemState:
    """The state that was written.

    Args:
        text: From :func:`state_to_json`.
        size: (H, W) of the item.
        where: What is read, for messages.

    Raises:
        UserError: If it is something else, or damaged.
    """
    try:
        content = json.loads(text)
        if content['format'] != FORMAT:
            raise UserError(f'expected the format {FORMAT}, got {content["format"]!r:.60}')
        objects = [_object_from_json(entry, size) for entry in content['objects']]
        next_id = int(content['next_id'])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        reason = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise UserError(
            f'{where}: expected saved annotations, got a damaged file ({reason:.200}); delete it, '
            'or restore it from a copy'
        ) from None
    highest = max((one.object_id for one in objects), default=0)
    return ItemState({one.object_id: one for one in objects}, max(next_id, highest + 1))


def prompts_to_json(prompts: FramePrompts) -> dict[str, Any]:
    """JSON of prompts, without what they correct."""
    return {
        'clicks': [[click.x, click.y, int(click.positive)] for click in prompts.clicks],
        'box': None if prompts.box is None else list(prompts.box),
        'text': prompts.text,
    }


def _object_to_json(one: AnnotatedObject) -> dict[str, Any]:
    return {
        'id': one.object_id,
        'label': one.label,
        'accepted': one.accepted,
        'hidden': one.hidden,
        'prompts': {
            str(frame): {**prompts_to_json(prompts), 'before': _mask_to_json(prompts.before)}
            for frame, prompts in one.prompts.items()
        },
        'masks': {str(frame): _mask_to_json(mask) for frame, mask in one.masks.items()},
        'changed': sorted(one.changed),
    }


def _mask_to_json(mask: FrameMask | None) -> list[Any] | None:
    return None if mask is None else [mask.counts, mask.origin.value, mask.score]


def _object_from_json(entry: Mapping[str, Any], size: tuple[int, int]) -> AnnotatedObject:
    masks = {int(f): _mask_from_json(value, size) for f, value in entry['masks'].items()}
    prompts = {int(f): _prompts_from_json(value, size) for f, value in entry['prompts'].items()}
    changed = {(int(frame), int(direction)) for frame, direction in entry['changed']}
    if any(direction not in (FORWARD, BACKWARD) for _, direction in changed):
        raise ValueError('directions other than 1 and -1')
    return AnnotatedObject(
        object_id=int(entry['id']),
        label=str(entry['label']),
        accepted=bool(entry['accepted']),
        hidden=bool(entry['hidden']),
        prompts=prompts,
        masks=masks,
        changed=frozenset(changed),
    )


def _prompts_from_json(entry: Mapping[str, Any], size: tuple[int, int]) -> FramePrompts:
    box, before = entry['box'], entry['before']
    return FramePrompts(
        clicks=tuple(Click(_finite(x), _finite(y), bool(p)) for x, y, p in entry['clicks']),
        box=None if box is None else (*(_finite(value) for value in box),),  # type: ignore[arg-type]
        text=None if entry['text'] is None else str(entry['text']),
        before=None if before is None else _mask_from_json(before, size),
    )


def _mask_from_json(entry: list[Any], size: tuple[int, int]) -> FrameMask:
    counts, origin, score = entry
    decode_mask(counts, size)
    return FrameMask(counts, Origin(origin), _finite(score))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError('a number that is not finite')
    return number
