"""Scoring a trained model sample by sample, so that models can be compared in pairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric
from numpy.typing import NDArray

from seg.comparison.sample_statistics import Statistics, sample_statistics
from seg.comparison.twins import task_of
from seg.engine.finished_runs import file_digest
from seg.evaluation.protocols import ClickProtocol
from seg.registry import DATASETS, METRICS, MODELS
from seg.structures import ClipSample, Task
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checkpoints import load_weights, read_weights
from seg.utils.checks import UserError
from seg.utils.json_text import json_text, read_json_object

_SAVE_EVERY = 16


def score_samples(
    cfg: Config, checkpoint: Path, task: str, num_samples: int, folder: Path
) -> dict[str, NDArray[np.float64]]:
    """What each validation sample adds to the scores of a task.

    Statistics are kept in ``scores_TASK.json`` in the folder, so that scoring goes on where it
    stopped; more samples than there are in the file are scored, fewer are read from it.

    Args:
        cfg: Config of the model; its ``val_dataloader`` has a mixture with a source of the task,
            and ``val_evaluator`` a metric for it.
        checkpoint: Weights.
        task: Which task.
        num_samples: How many samples from the first one on.
        folder: Where statistics are kept.

    Returns:
        Name of a score to statistics (N, D), for :func:`paired_bootstrap`.
    """
    path = folder / f'scores_{task}.json'
    source = _source_of(cfg, Task.parse(task))
    assert source is not None, 'the plan was checked'
    origin = _origin(cfg, source, checkpoint)
    found = _read(path)
    rows = found['rows'] if found.get('origin') == origin else []
    if len(rows) < num_samples:
        for statistics in _score_from(cfg, source, checkpoint, len(rows), num_samples):
            rows.append({name: values.tolist() for name, values in statistics.items()})
            if len(rows) % _SAVE_EVERY == 0:
                _write(path, origin, rows)
        _write(path, origin, rows)
    kept = rows[:num_samples]
    return {name: np.array([row[name] for row in kept]) for name in kept[0]}


def check_same_questions(
    first: tuple[str, Config], second: tuple[str, Config], tasks: Sequence[str]
) -> None:
    """Refuse to compare models that are not asked and judged alike.

    Args:
        first: Name and config of a model.
        second: Of the other.
        tasks: What they are compared in.

    Raises:
        UserError: If a validation source or metric of a task differs or is missing.
    """
    for task in tasks:
        of_first, of_second = (_question(*plan, Task.parse(task)) for plan in (first, second))
        for kind in of_first:
            if of_first[kind] != of_second[kind]:
                raise UserError(
                    f'{second[0]}: expected the validation {kind} of {first[0]} for {task}, got '
                    f'another; models can be compared on the same samples alone'
                )


def _question(name: str, cfg: Config, task: Task) -> dict[str, str]:
    """What a model is asked in a task, and how it is judged."""
    metric = ((cfg.get('val_evaluator') or {}).get('metrics') or {}).get(task.value)
    source = _source_of(cfg, task)
    if source is None or metric is None:
        raise UserError(
            f'{name}: expected a val_dataloader over a mixture with {task}, and a metric for it in '
            'val_evaluator, got none; leave the task out, or use a config that is validated in it'
        )
    parts = {'source': source, 'metric': metric}
    return {kind: json.dumps(part, sort_keys=True, default=str) for kind, part in parts.items()}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    what, otherwise = 'scores as this package writes them', 'remove the file to score again'
    content = read_json_object(path, what, otherwise)
    rows = content.get('rows')
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f'{path}: expected {what}, got others in "rows"; {otherwise}')
    return content


def _write(path: Path, origin: str, rows: list[dict[str, Any]]) -> None:
    content = {'origin': origin, 'rows': rows}
    write_bytes_atomically(path, json_text(content).encode())


def _source_of(cfg: Config, task: Task) -> dict[str, Any] | None:
    """The validation data of a task, if there are any."""
    loader = cfg.get('val_dataloader') or {}
    for source in ((loader.get('dataset') or {}).get('sources') or {}).values():
        if task_of(source) is task:
            return dict(source)
    return None


def _origin(cfg: Config, source: dict[str, Any], checkpoint: Path) -> str:
    """Fingerprint of what statistics depend on, but for the number of samples."""
    data = {key: value for key, value in source.items() if key != 'num_samples'}
    metric = cfg.val_evaluator['metrics'][task_of(source).value]
    text = json.dumps([data, cfg.model, metric], sort_keys=True, default=str)
    return hashlib.sha256(text.encode() + file_digest(checkpoint)).hexdigest()


def _score_from(
    cfg: Config, source: dict[str, Any], checkpoint: Path, begin: int, end: int
) -> Iterator[Statistics]:
    """Statistics of samples ``begin`` to ``end``."""
    task = task_of(source)
    if 'num_samples' in source:  # a world without end
        source = {**source, 'num_samples': end}
    dataset = DATASETS.build(source)
    metric = METRICS.build(cfg.val_evaluator['metrics'][task.value])
    metric.dataset_meta = dataset.metainfo
    model: Any = MODELS.build(cfg.model)
    load_weights(model, read_weights(checkpoint), name=str(checkpoint))
    model.to(get_device()).eval()
    for index in range(begin, min(end, len(dataset))):
        batch = pseudo_collate([dataset[index]])
        yield _statistics(model, batch, task, metric)


@torch.no_grad()
def _statistics(model: Any, batch: dict[str, Any], task: Task, metric: BaseMetric) -> Statistics:
    """Predict one sample as its task is validated, with one click where there are clicks."""
    samples: list[ClipSample]
    if task is Task.INTERACTIVE_IMAGE:
        samples = ClickProtocol(max_clicks=1).run(model, batch)
    else:
        samples = model.test_step(batch)
    (sample,) = samples
    return sample_statistics(metric, sample)
