"""Tasks to routes."""

import pytest
import torch

from seg.models.routing import TaskRouter
from seg.structures import ClipSample, Task


def samples(*tasks):
    return [ClipSample(metainfo=dict(task=task)) for task in tasks]


@pytest.mark.parametrize(
    ('task', 'num_stages', 'adapter'),
    [('panoptic', 3, 'object'), ('interactive_image', 2, 'prompt')],
)
def test_each_task_has_its_way(task, num_stages, adapter):
    router = TaskRouter(8, num_decoder_stages=3, interactive_stages=2)
    route = router.route(samples(task, task))

    assert (route.task, route.num_stages, route.adapter) == (Task.parse(task), num_stages, adapter)


def test_all_stages_run_by_default():
    routes = TaskRouter(8, num_decoder_stages=4).routes.values()

    assert {route.num_stages for route in routes} == {4}


def test_a_batch_of_two_tasks_is_refused():
    with pytest.raises(ValueError, match='one task per batch, got interactive_image, panoptic'):
        TaskRouter(8).route(samples('panoptic', 'interactive_image'))


def test_a_sample_without_task_is_refused():
    with pytest.raises(ValueError, match='without one'):
        TaskRouter(8).route([ClipSample()])


@pytest.mark.parametrize('name', ['interactive_stages', 'panoptic_stages'])
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
