"""Tasks by name."""

import pytest

from seg.structures import Task


@pytest.mark.parametrize('name', ['interactive_image', 'interactive_video', 'vos', 'panoptic'])
def test_every_task_is_found_by_name(name: str) -> None:
    assert Task.parse(name) is Task(name)
    assert str(Task.parse(name)) == name


def test_a_task_is_its_own_name() -> None:
    assert Task.parse(Task.VOS) is Task.VOS


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown task 'panoptik'.*Did you mean 'panoptic'"):
        Task.parse('panoptik')


def test_only_panoptic_has_no_prompts() -> None:
    assert [task for task in Task if not task.is_prompted] == [Task.PANOPTIC]
