"""The ``init_cfg`` of towers that start from a CLIP checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seg.utils.checks import UserError

CLIP_INIT = 'clip_pretrain'


def check_clip_init(init_cfg: Mapping[str, Any] | None) -> None:
    """Check the keys of an ``init_cfg`` of this type; others are left to MMEngine.

    Raises:
        UserError: If a key is missing or unknown.
    """
    if init_cfg is None or init_cfg.get('type') != CLIP_INIT:
        return
    if set(init_cfg) != {'type', 'checkpoint'} or not init_cfg['checkpoint']:
        raise UserError(
            f"init_cfg: expected dict(type='{CLIP_INIT}', checkpoint=FILE_OR_TAG), got "
            f'{dict(init_cfg)}'
        )
