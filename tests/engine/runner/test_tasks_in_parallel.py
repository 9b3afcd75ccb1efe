"""Processes whose batches are of different tasks in the same step."""

import copy
from collections import Counter, defaultdict

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import distributed as torch_dist

from seg.engine.runner.activation_checkpointing import turn_on_activation_checkpointing
from seg.models.heads import spoken_texts
from seg.registry import MODELS
from seg.testing.processes import in_processes
from seg.testing.tiny_rapsam import tiny_prompted_cfg, tiny_rapsam_cfg, toy_sample

needs_fork = pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')

WEIGHTS = {
    'panoptic': dict(cls=2.0, mask=5.0, dice=5.0, panoptic=1.0, semantic=2.0),
    'interactive_image': dict(cls=1.0, mask=5.0, dice=5.0, iou=10.0),
}

# Per step, the task and the numbers of prompts (segments) of each process's two samples.
PANOPTIC, CLICKS = 'panoptic', 'interactive_image'
DIFFERENT = [
    [(PANOPTIC, (2, 3)), (CLICKS, (4, 1))],
    [(CLICKS, (3, 2)), (PANOPTIC, (5, 5))],
    [(PANOPTIC, (1, 4)), (PANOPTIC, (3, 3))],
]
SAME = [
    [(PANOPTIC, (2, 3)), (PANOPTIC, (5, 4))],
    [(CLICKS, (4, 1)), (CLICKS, (2, 2))],
]
# In pairs: what the first step trains need not take part in the second one, which synchronises.
ACCUMULATED = [DIFFERENT[0], DIFFERENT[2], DIFFERENT[1], SAME[1]]


def make_model(cfg=None):
    """A model whose arithmetic does not depend on how a batch is split."""
    cfg = cfg or tiny_rapsam_cfg(faithful=False)
    cfg['neck']['norm_cfg'] = dict(type='GN', num_groups=2)
    cfg['head']['criterion'] = dict(type='SegmentCriterion', sampling=dict(type='GridSampling'))
    cfg['head']['semantic_auxiliary'] = dict(type='SemanticAuxiliary')
    cfg['head'].setdefault('task_loss_weights', WEIGHTS)
    torch.manual_seed(0)
    return MODELS.build(cfg).train()


def samples_of(task, counts, seed):
    return [
        toy_sample(task, num_segments=count, seed=10 * seed + i) for i, count in enumerate(counts)
    ]


def loss_of(model, samples):
    clips, annotations = zip(*copy.deepcopy(samples), strict=True)
    data = dict(inputs=list(clips), data_samples=list(annotations))
    bare = getattr(model, 'module', model)
    losses = model(**bare.data_preprocessor(data, training=True), mode='loss')
    return bare.parse_losses(losses)[0]


def optimizer_of(model, accumulate, num_steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    wrapper = OptimWrapper(optimizer, accumulative_counts=accumulate)
    wrapper.initialize_count_status(model, 0, num_steps)
    return wrapper


def weights_of(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def train_one_of_two(rank, steps, recomputed, accumulate):
    torch_dist.init_process_group('gloo')
    model = make_model()
    turn_on_activation_checkpointing(model, recomputed)
    model = MMDistributedDataParallel(model, find_unused_parameters=True)
    optimizer = optimizer_of(model, accumulate, len(steps))
    for i, step in enumerate(steps):
        task, counts = step[rank]
        with optimizer.optim_context(model):
            loss = loss_of(model, samples_of(task, counts, 2 * i + rank))
        optimizer.update_params(loss)
    return weights_of(model.module)


def train_alone(steps, accumulate):
    """One process: the batches of a task as one, each task with its share of the step."""
    model = make_model()
    optimizer = optimizer_of(model, accumulate, len(steps))
    for i, step in enumerate(steps):
        joined, shares = defaultdict(list), Counter(task for task, _ in step)
        for rank, (task, counts) in enumerate(step):
            joined[task] += samples_of(task, counts, 2 * i + rank)
        losses = [
            loss_of(model, samples) * shares[task] / len(step) for task, samples in joined.items()
        ]
        optimizer.update_params(sum(losses))
    return weights_of(model)


@needs_fork
@pytest.mark.parametrize(
    ('steps', 'recomputed', 'accumulate'),
    [
        pytest.param(DIFFERENT, (), 1, id='different tasks'),
        pytest.param(DIFFERENT, ('backbone', 'head.stages.0'), 1, id='recomputed activations'),
        pytest.param(SAME, (), 1, id='one task'),
        pytest.param(ACCUMULATED, (), 2, id='accumulated gradients'),
    ],
)
def test_two_processes_equal_one_on_the_joined_batch(steps, recomputed, accumulate):
    start = weights_of(make_model())
    first, second = in_processes(lambda rank: train_one_of_two(rank, steps, recomputed, accumulate))
    alone = train_alone(steps, accumulate)

    for name, value in first.items():
        assert torch.equal(value, second[name]), f'{name} differs between the processes'
        torch.testing.assert_close(value, alone[name], atol=1e-5, rtol=0, msg=name)
    moved = {name: (value - start[name]).abs().max() for name, value in first.items()}
    assert max(moved.values()) > 0.01
    assert all(moved[name] > 0 for name in moved if name.startswith('head.'))


def speaking(rank=None):
    """The panoptic samples of one step; only those of the first process have expressions."""
    samples = [samples_of(PANOPTIC, (2, 3), 0), samples_of(PANOPTIC, (3, 1), 1)]
    for _, sample in samples[0]:
        words = ['the left bar', 'the right bar', None]
        sample.set_metainfo(dict(expressions=words[: len(sample.gt_segments.masks)]))
    return samples[0] + samples[1] if rank is None else samples[rank]


def step_with_texts(rank=None):
    """Weights after a step of one of two processes, or of one process with both batches."""
    texts_weigh = dict(cls=2.0, mask=5.0, dice=5.0, text_visual=1.0)
    model = make_model(tiny_prompted_cfg(task_loss_weights={PANOPTIC: texts_weigh}))
    wrapped = model
    if rank is not None:
        torch_dist.init_process_group('gloo')
        wrapped = MMDistributedDataParallel(model, find_unused_parameters=True)
    for module in model.modules():
        module.unknown_prob = 0.0  # of words that are dropped at random
    optimizer_of(model, 1, 1).update_params(loss_of(wrapped, speaking(rank)))
    return weights_of(model)


@needs_fork
def test_texts_that_one_process_alone_has_train_both(monkeypatch):
    monkeypatch.setattr(
        spoken_texts,
        '_grid_ious',
        lambda masks, logits: torch.linspace(0.2, 0.9, len(logits)).expand(len(masks), -1),
    )
    first, second = in_processes(step_with_texts)
    alone = step_with_texts()
    start = weights_of(make_model(tiny_prompted_cfg(task_loss_weights={PANOPTIC: {'cls': 1.0}})))

    for name, value in first.items():
        assert torch.equal(value, second[name]), f'{name} differs between the processes'
        torch.testing.assert_close(value, alone[name], atol=1e-5, rtol=0, msg=name)
    for part in ('text_matcher.score_proj.weight', 'prompt_encoder.fusion.text_proj.weight'):
        assert not torch.equal(first[f'head.{part}'], start[f'head.{part}'])
