"""The mixtures of joint training read Shapes in all layouts, and a model trains on every source."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from seg.datasets import MixedDataset
from seg.datasets.converters import write_mixture
from seg.datasets.metainfo import find_label_space
from seg.datasets.shapes import SHAPES_VOCABULARY
from seg.engine.config_check import check_config
from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.models.detectors import RapSAM
from seg.registry import DATASETS, MODELS
from seg.structures import Task
from seg.testing.tiny_rapsam import tiny_prompted_cfg

FULL = 'coco_panoptic_video_yt19_yt21_davis_vip_city_sam_ref'
# Of each mixture: things and stuff, tasks that it trains, the config that uses it.
MIXTURES = {
    'coco_yt19_points': (102, 53, 2, 'coco_yt19_points'),
    'coco_yt21_davis_ref': (100, 53, 3, 'coco_yt21_davis_ref'),
    FULL: (139, 101, 4, 'joint'),
}
SIZE = (48, 64)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    for _ in write_mixture(root, 2, num_frames=4, size=SIZE):
        pass
    return root


def moved(value, root):
    """Files below ``root`` instead of ``data``, and pictures as small as they are there."""
    if isinstance(value, dict):
        return {
            key: SIZE if key in ('scale', 'crop_size') else moved(item, root)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [moved(item, root) for item in value]
    if isinstance(value, str) and value.startswith('data/'):
        return str(root / value.removeprefix('data/'))
    return value


def dataset_config(repository, name):
    path = repository / f'configs/_base_/datasets/{name}.py'
    return Config.fromfile(path, format_python_code=False)


def tiny_model(num_things, num_stuff):
    cfg = tiny_prompted_cfg(
        memory=dict(type='StreamingMemoryAdapter', reader=dict(stride=2, key_channels=8)),
        dual_path=dict(type='DualPathRefinement'),
    )
    cfg['head']['prompt_encoder']['fusion']['text_encoder']['vocabulary'] = SHAPES_VOCABULARY
    cfg['head'].update(num_things=num_things, num_stuff=num_stuff)
    return cfg


@pytest.mark.parametrize('name', MIXTURES)
def test_a_mixture_has_its_classes_and_a_config_that_fits(repository, name):
    num_things, num_stuff, num_tasks, user = MIXTURES[name]
    cfg = dataset_config(repository, name)
    check_config(cfg)
    space = find_label_space(cfg.label_space)
    assert (space.num_things, space.num_stuff) == (num_things, num_stuff)
    head = load_config(repository / f'configs/rap_sam/rap_sam_r50_{user}.py').model.head
    assert (head.num_things, head.num_stuff) == (num_things, num_stuff)
    sources = cfg.train_dataloader['dataset'].sources
    tasks = {Task.parse(source.dataset.task) for source in sources.values()}
    assert len(tasks) == num_tasks
    assert tasks <= {Task.parse(task) for task in head.task_loss_weights}
    assert {source.label_space for source in sources.values()} == {cfg.label_space}


@pytest.mark.parametrize('name', MIXTURES)
def test_a_step_is_taken_from_every_source(repository, data, name):
    num_things, num_stuff, _, _ = MIXTURES[name]
    cfg = dataset_config(repository, name)
    mixed = DATASETS.build(moved(cfg.train_dataloader['dataset'].to_dict(), data))
    assert isinstance(mixed, MixedDataset)
    torch.manual_seed(0)
    model = MODELS.build(tiny_model(num_things, num_stuff)).train()
    wrapper = build_optim_wrapper(
        model, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-4))
    )
    watched = model.neck.out_conv.weight
    for source_name, source in zip(mixed.names, mixed.sources, strict=True):
        item = source[0]
        before = watched.detach().clone()
        log = model.train_step(
            dict(inputs=[item['inputs']], data_samples=[item['data_samples']]), wrapper
        )
        assert torch.isfinite(log['loss']), source_name
        assert not torch.equal(before, watched), source_name
        assert all(key.startswith(f'{source.task.value}/') for key in log if 'loss_' in key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'scores'),
    [
        ('coco_yt19_points', {'panoptic/PQ', 'interactive/mIoU@1'}),
        ('coco_yt21_davis_ref', {'panoptic/PQ', 'interactive/text_gIoU', 'davis/J&F'}),
        (FULL, {'panoptic/PQ', 'interactive/mIoU@1', 'interactive/text_gIoU', 'davis/J&F'}),
    ],
)
def test_a_mixture_trains_and_is_evaluated(repository, data, tmp_path, name, scores):
    num_things, num_stuff, _, used_by = MIXTURES[name]
    path = repository / f'configs/rap_sam/rap_sam_r50_{used_by}.py'
    cfg = load_config(path)
    cfg.model = dict(tiny_model(num_things, num_stuff), type=RapSAM)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader['dataset'] = moved(loader.dataset.to_dict(), data)
    cfg.train_dataloader['dataset']['ratios'] = None
    cfg.train_dataloader.update(batch_size=2)  # of one small picture batches have no variance
    num_sources = len(cfg.train_dataloader['dataset']['sources'])
    cfg.train_cfg.update(max_iters=num_sources, val_interval=num_sources)
    cfg.optim_wrapper.paramwise_cfg = None
    cfg.test_dataloader, cfg.test_cfg, cfg.test_evaluator = None, None, None
    cfg.vis_backends, cfg.visualizer = None, None
    runner = build_runner(cfg, path, tmp_path)
    runner.train()

    drawn = runner.train_dataloader.batch_sampler.drawn(num_sources)
    assert [share.batches for share in drawn.values()] == [1] * num_sources
    values = {key: log.current() for key, log in runner.message_hub.log_scalars.items()}
    assert all(0 <= values[f'val/{key}'] <= 100 for key in scores)
    assert (tmp_path / 'best.pth').is_file()
