"""Tasks to routes."""

import itertools

import pytest
import torch
from mmengine.structures import InstanceData

from seg.models.routing import Route, TaskRouter, detect_task
from seg.structures import ClipSample, Prompts, Task


def samples(*tasks):
    return [ClipSample(metainfo=dict(task=task)) for task in tasks]


def undeclared(prompts=None, num_frames=1):
    """A sample with ground truth and object ids that declares no task."""
    sample = ClipSample()
    sample.gt_segments = InstanceData(
        masks=torch.ones(2, num_frames, 8, 8, dtype=torch.bool),
        labels=torch.zeros(2, dtype=torch.long),
        object_ids=torch.tensor([3, 7]),
    )
    if prompts is not None:
        sample.prompts = prompts
    return sample


CLICK = torch.tensor([[[2.0, 2.0]]])
BOX = torch.tensor([[1.0, 1.0, 5.0, 5.0]])
MASK = torch.ones(1, 8, 8)
# Every mixture of kinds of prompts for one object, on the first frame or on a later one.
KINDS = {
    'points': dict(points=CLICK),
    'boxes': dict(boxes=BOX),
    'masks': dict(masks=MASK),
    'texts': dict(texts=['red star']),
}
MIXTURES = [names for size in range(1, 5) for names in itertools.combinations(sorted(KINDS), size)]


def prompts_of(names, frame_index=0):
    kinds = {key: value for name in names for key, value in KINDS[name].items()}
    return Prompts.create(**kinds, frame_index=frame_index)


@pytest.mark.parametrize(
    ('task', 'expected'),
    [
        ('panoptic', Route(Task.PANOPTIC, 1, 'object')),
        ('vos', Route(Task.VOS, 2, 'prompt', memory=True, dpsr=True)),
        ('interactive_image', Route(Task.INTERACTIVE_IMAGE, 3, 'prompt', prompt_fusion=True)),
        ('interactive_video', Route(Task.INTERACTIVE_VIDEO, 3, 'prompt', True, True, True)),
    ],
)
def test_each_task_has_its_way(task, expected):
    stages = dict(interactive_stages=3, vos_stages=2, panoptic_stages=1)
    router = TaskRouter(8, num_decoder_stages=4, **stages)

    assert router.route(samples(task, task)) == expected


def test_without_memory_nothing_is_carried_or_refined():
    routes = TaskRouter(8, enable_streaming_memory=False).routes.values()

    assert not any(route.memory or route.dpsr for route in routes)


def test_all_stages_run_by_default():
    routes = TaskRouter(8, num_decoder_stages=4).routes.values()

    assert {route.num_stages for route in routes} == {4}


@pytest.mark.parametrize('frame', [0, 1])
@pytest.mark.parametrize('num_frames', [1, 3])
@pytest.mark.parametrize('names', [(), *MIXTURES], ids='+'.join)
def test_an_undeclared_task_follows_from_the_inputs(names, num_frames, frame):
    if not names:
        expected = Task.PANOPTIC  # a pseudo-clip or a video with object ids is not vos
    elif num_frames == 1:
        expected = Task.INTERACTIVE_IMAGE
    elif names == ('masks',) and frame == 0:
        expected = Task.VOS
    else:
        expected = Task.INTERACTIVE_VIDEO
    prompts = prompts_of(names, frame) if names else None
    sample = undeclared(prompts, num_frames)

    assert detect_task(prompts, num_frames) is expected
    assert TaskRouter(8).route([sample, sample], num_frames).task is expected


def test_one_object_by_mask_and_one_by_click_is_no_vos():
    nowhere = torch.full((1, 1, 2), torch.nan)
    both = Prompts.create(
        points=torch.cat([CLICK, nowhere.nan_to_num()]),
        point_labels=torch.tensor([[1], [-1]]),
        masks=MASK.expand(2, -1, -1),
    )
    both.has_mask[0] = False

    assert detect_task(both, 3) is Task.INTERACTIVE_VIDEO


def test_prompts_of_no_object_are_still_a_prompted_task():
    assert detect_task(Prompts.create(points=CLICK[:0]), 3) is Task.INTERACTIVE_VIDEO
    assert detect_task(Prompts.create(masks=MASK[:0]), 1) is Task.INTERACTIVE_IMAGE


@pytest.mark.parametrize('task', list(Task))
@pytest.mark.parametrize('num_frames', [1, 3])
@pytest.mark.parametrize('names', [(), ('points',), ('masks',)], ids='+'.join)
def test_a_declared_task_wins(task, num_frames, names):
    sample = undeclared(prompts_of(names) if names else None, num_frames)
    sample.set_metainfo(dict(task=task.value))

    assert TaskRouter(8).route([sample], num_frames).task is task


@pytest.mark.parametrize('pair', list(itertools.combinations(Task, 2)), ids=str)
def test_a_batch_of_two_tasks_is_refused(pair):
    named = ', '.join(sorted(map(str, pair)))
    with pytest.raises(ValueError, match=f'one task per batch, got {named}; use a sampler'):
        TaskRouter(8).route(samples(*pair))


def test_a_declared_and_a_detected_task_must_agree():
    mixed = [*samples('vos'), undeclared()]
    with pytest.raises(ValueError, match='got panoptic, vos'):
        TaskRouter(8).route(mixed)
    assert TaskRouter(8).route([*samples('panoptic'), undeclared()]).task is Task.PANOPTIC


def test_a_misspelt_task_is_named():
    with pytest.raises(ValueError, match=r"unknown task 'panoptc'.*Did you mean 'panoptic'"):
        TaskRouter(8).route(samples('panoptc'))


@pytest.mark.parametrize('name', ['interactive_stages', 'vos_stages', 'panoptic_stages'])
@pytest.mark.parametrize('number', [0, 4])
def test_more_stages_than_there_are_is_refused(name, number):
    with pytest.raises(ValueError, match=f'{name}: expected 1 to 3'):
        TaskRouter(8, num_decoder_stages=3, **{name: number})


def test_marking_changes_nothing_until_trained():
    router, queries = TaskRouter(8), torch.randn(2, 3, 8)
    route = router.routes[Task.PANOPTIC]
    assert torch.equal(router.mark(queries, route), queries)

    router.mark(queries, route).sum().backward()
    trained = router.task_embed.weight.grad.any(dim=1)
    assert trained.tolist() == [task is Task.PANOPTIC for task in Task]


def test_tasks_need_not_be_marked():
    router = TaskRouter(8, marks_tasks=False)
    queries = torch.randn(1, 3, 8)

    assert not list(router.parameters())
    assert all(router.mark(queries, route) is queries for route in router.routes.values())
