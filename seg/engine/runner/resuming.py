"""Where a run continues: finding its latest checkpoint and taking over its seed."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seg.utils.checkpoints import LAST_CHECKPOINT, read_checkpoint


def find_latest_checkpoint(work_dir: str | os.PathLike[str]) -> Path | None:
    """The training state that a run in a folder wrote last.

    Args:
        work_dir: Folder of the run. Its file ``last_checkpoint`` names the checkpoint; if it is
            gone or the folder was moved, the highest ``iter_N.pth`` or ``epoch_N.pth`` counts.

    Returns:
        The file, or ``None`` if there is none.
    """
    folder = Path(work_dir)
    pointer = folder / LAST_CHECKPOINT
    if pointer.is_file():
        named = folder / Path(pointer.read_text(encoding='utf-8').strip()).name
        if named.is_file():
            return named
    numbered = [
        (int(match.group(1)), file)
        for file in folder.glob('*.pth')
        if (match := re.fullmatch(r'(?:iter|epoch)_(\d+)', file.stem))
    ]
    return max(numbered)[1] if numbered else None


def resolve_resume(cfg: Config) -> Config:
    """Name the checkpoint that a config resumes from and take over its seed.

    The seed is needed before the data loaders are built, so it is read here. A seed that the config
    gives stays.

    Args:
        cfg: A config with ``work_dir`` and perhaps ``resume`` and ``load_from``.

    Returns:
        The config itself, or a changed copy.
    """
    if not cfg.get('resume'):
        return cfg
    source = cfg.get('load_from') or find_latest_checkpoint(cfg['work_dir'])
    if source is None:
        return cfg
    cfg = copy.deepcopy(cfg)
    cfg['load_from'] = str(source)
    randomness: dict[str, Any] = dict(cfg.get('randomness') or {'seed': None})
    if randomness.get('seed') is None:
        meta = read_checkpoint(source).get('meta', {})
        randomness['seed'] = meta.get('seed') if isinstance(meta, dict) else None
        cfg['randomness'] = randomness
    return cfg
