"""Single-task twins of a model that is trained on several tasks."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

from seg.datasets.samplers import block_weights
from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message


def task_of(source: Any) -> Task:
    """Task of a data set's config, also of one that another wraps."""
    return Task.parse(source['dataset']['task'] if 'dataset' in source else source['task'])


def tasks_of(cfg: Config) -> dict[str, Task]:
    """Task of each source of a config's training data.

    Raises:
        UserError: If the config has no mixture.
    """
    sources = cfg.train_dataloader['dataset'].get('sources')
    if sources is None:
        raise UserError(
            'train_dataloader.dataset: expected a MixedDataset of several tasks, got a single data '
            'set, which has no twins'
        )
    return {name: task_of(source) for name, source in sources.items()}


def whole_blocks(cfg: Config, iterations: int) -> int:
    """The least number of iterations from here on in which every source has its exact share."""
    block = sum(_weights(cfg).values())
    return -(-iterations // block) * block


def steps_of_task(cfg: Config, task: Task) -> int:
    """How many steps of a task a training has whose length is one of :func:`whole_blocks`."""
    weights, tasks = _weights(cfg), tasks_of(cfg)
    own = sum(weight for name, weight in weights.items() if tasks[name] is task)
    return int(cfg.train_cfg['max_iters']) * own // sum(weights.values())


def set_length(cfg: Config, iterations: int) -> None:
    """Train for some iterations."""
    cfg['train_cfg'].update(max_iters=iterations, val_interval=iterations)


def without_validation(cfg: Config) -> Config:
    """The same training, whose last weights are its result, and not those that a score chose."""
    plain = copy.deepcopy(cfg)
    for kind in ('val', 'test'):
        plain[f'{kind}_dataloader'] = plain[f'{kind}_cfg'] = plain[f'{kind}_evaluator'] = None
    plain['train_cfg'].pop('val_interval', None)
    plain['default_hooks']['checkpoint'].update(save_best=None)
    return plain


def single_task_twin(cfg: Config, task: Task) -> Config:
    """The same training with one of its tasks alone, and as many steps of it.

    Model, optimizer, schedule, batch sizes and data of the task are those of the joint training.

    Args:
        cfg: A config whose length is one of :func:`whole_blocks`.
        task: Which task stays.

    Raises:
        UserError: If the training has no such task.
    """
    tasks = tasks_of(cfg)
    known = [kind.value for kind in tasks.values()]
    if task.value not in known:
        raise UserError(unknown_name_message('task', task.value, known))
    twin = copy.deepcopy(cfg)
    set_length(twin, steps_of_task(cfg, task))
    for name in ('train_dataloader', 'val_dataloader'):
        _keep_task(twin[name]['dataset'], task)
    sizes = twin.train_dataloader['batch_sampler'].get('task_batch_sizes') or {}
    twin.train_dataloader['batch_sampler']['task_batch_sizes'] = {
        name: size for name, size in sizes.items() if Task.parse(name) is task
    } or None
    metrics = twin.val_evaluator['metrics']
    twin.val_evaluator['metrics'] = {task.value: metrics[task.value]}
    return twin


def _weights(cfg: Config) -> dict[str, int]:
    """Batches of each source in a block."""
    names = list(tasks_of(cfg))
    ratios = cfg.train_dataloader['dataset'].get('ratios') or dict.fromkeys(names, 1)
    return dict(zip(names, block_weights([ratios[name] for name in names]), strict=True))


def _keep_task(dataset: Any, task: Task) -> None:
    kept = {name: s for name, s in dataset['sources'].items() if task_of(s) is task}
    dataset['sources'] = kept
    if dataset.get('ratios'):
        dataset['ratios'] = {name: dataset['ratios'][name] for name in kept}
