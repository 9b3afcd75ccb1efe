from types import SimpleNamespace

import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from seg.datasets import ShapesDataset
from seg.datasets.transforms import InteriorClickPrompts, PackClip
from seg.engine.config_check import check_config
from seg.engine.runner import PromptingTestLoop, PromptingValLoop
from seg.evaluation.metrics import InteractiveMetric, PanopticMetric, TaskEvaluator
from seg.evaluation.protocols import ClickProtocol
from seg.registry import LOOPS
from seg.testing.fake_segmentor import ALL_PROMPT_KINDS, FakeSegmentor

LOOP_TYPES = {'val': PromptingValLoop, 'test': PromptingTestLoop}


class Model(FakeSegmentor):
    val_step = FakeSegmentor.test_step


@pytest.fixture(params=['val', 'test'])
def run(request):
    """Run a loop on two samples of a task: metrics, hooks that were called, the model."""

    def call(task):
        pipeline = [*([InteriorClickPrompts()] if task == 'interactive_image' else []), PackClip()]
        dataset = ShapesDataset(task, split='val', num_samples=2, pipeline=pipeline)
        hooks = []
        runner = SimpleNamespace(
            model=Model(prompt_kinds=ALL_PROMPT_KINDS),
            visualizer=SimpleNamespace(),
            call_hook=lambda name, **given: hooks.append((name, given.get('outputs'))),
        )
        metrics = dict(panoptic=PanopticMetric(), interactive_image=InteractiveMetric())
        loop = LOOP_TYPES[request.param](
            runner,
            DataLoader(dataset, batch_size=2, collate_fn=pseudo_collate),
            TaskEvaluator({task: metrics[task]}),
            protocol=dict(type='ClickProtocol', max_clicks=3),
        )
        return loop.run(), hooks, runner.model

    return call


def test_clicks_follow_the_protocol(run):
    metrics, hooks, model = run('interactive_image')
    assert {'interactive/mIoU@1', 'interactive/mIoU@3'} <= set(metrics)
    assert model.num_encoded == 1
    outputs = next(given for name, given in hooks if name.endswith('_iter') and given is not None)
    assert all('click_ious' in sample.pred_prompted for sample in outputs)
    assert [name.split('_')[0] for name, _ in hooks] == ['before'] * 3 + ['after'] * 3


def test_other_tasks_take_the_step_of_the_model(run):
    metrics, _, model = run('panoptic')
    assert 'panoptic/PQ' in metrics
    assert model.num_encoded == 0


def test_configs_name_loops_by_class_or_name():
    for key, kind in LOOP_TYPES.items():
        for name in (kind, kind.__name__):
            protocol = dict(type=ClickProtocol, max_clicks=3)
            check_config({f'{key}_cfg': dict(type=name, protocol=protocol)})
        assert LOOPS.get(kind.__name__) is kind
