import pytest

from seg.comparison.twins import (
    set_length,
    single_task_twin,
    steps_of_task,
    tasks_of,
    whole_blocks,
    without_validation,
)
from seg.engine.config_options import load_config
from seg.engine.hooks import SteeringHook
from seg.structures import Task
from seg.utils.checks import UserError

JOINT = 'configs/rap_sam/rap_sam_nano_joint_shapes.py'


@pytest.fixture(scope='module')
def joint(repository):
    return load_config(repository / JOINT)


def test_a_twin_is_the_joint_training_with_one_task(joint):
    total = 0
    for task in Task:
        twin = single_task_twin(joint, task)
        assert twin.model == joint.model
        assert twin.optim_wrapper == joint.optim_wrapper
        assert twin.custom_hooks == joint.custom_hooks
        for kind in ('train_dataloader', 'val_dataloader'):
            sources = joint[kind].dataset.sources
            assert twin[kind].dataset.sources == {task.value: sources[task.value]}
        sizes = joint.train_dataloader.batch_sampler.task_batch_sizes
        own = twin.train_dataloader.batch_sampler.task_batch_sizes or {}
        assert own == {name: size for name, size in sizes.items() if name == task.value}
        assert set(twin.val_evaluator.metrics) == {task.value}
        total += twin.train_cfg.max_iters
    assert total == joint.train_cfg.max_iters


def test_a_task_has_the_steps_that_its_sources_have(repository):
    cfg = load_config(repository / 'configs/rap_sam/rap_sam_nano_shapes.py')
    assert whole_blocks(cfg, 11) == 20
    set_length(cfg, whole_blocks(cfg, 11))
    assert [steps_of_task(cfg, task) for task in tasks_of(cfg).values()] == [4, 4, 6, 6]
    mixture = load_config(repository / 'configs/rap_sam/rap_sam_r50_joint.py')
    set_length(mixture, whole_blocks(mixture, 20))
    assert steps_of_task(mixture, Task.PANOPTIC) == 10  # of five sources
    twin = single_task_twin(mixture, Task.PANOPTIC)
    assert set(twin.train_dataloader.dataset.sources) == {'coco', 'yt19', 'yt21', 'vip', 'city'}
    assert dict(twin.train_dataloader.dataset.ratios) == dict(coco=4, yt19=1, yt21=2, vip=2, city=1)


def test_nothing_is_chosen_by_a_score(joint):
    plain = without_validation(joint)
    assert plain.val_cfg is None
    assert plain.default_hooks.checkpoint.save_best is None
    assert plain.model == joint.model
    assert joint.val_cfg is not None


def test_what_has_no_twin_is_refused(repository):
    cfg = load_config(repository / 'configs/rap_sam/rap_sam_nano_quick_shapes.py')
    with pytest.raises(UserError, match="unknown task 'vos'"):
        single_task_twin(cfg, Task.VOS)
    cfg = load_config(repository / 'configs/rap_sam/rap_sam_nano_coco_sample.py')
    with pytest.raises(UserError, match='expected a MixedDataset of several tasks'):
        tasks_of(cfg)


def test_from_nothing_classes_come_first_in_joint_model_and_twin(joint, repository):
    scratch = load_config(repository / 'configs/rap_sam/rap_sam_nano_joint_scratch_shapes.py')
    for cfg in (scratch, single_task_twin(scratch, Task.PANOPTIC)):
        assert (
            dict(cfg.model.head.semantic_auxiliary).items()
            >= dict(balance=0.0, alone_until=0.25).items()
        )
        assert SteeringHook in [hook['type'] for hook in cfg.custom_hooks]
    assert joint.model.head.semantic_auxiliary.alone_until == 0.0
    assert scratch.train_dataloader == joint.train_dataloader
