"""The shipped configs of SAM 3: they have their sizes, and the small one trains."""

import copy
import importlib.util

import pytest
import torch
from mmengine.dataset import pseudo_collate

from seg.datasets.converters import WRITERS, write_shapes
from seg.datasets.shapes import SHAPES_THINGS
from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.models.detectors import Sam3Segmentor
from seg.registry import DATASETS, MODELS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
PARAMETERS = {
    'standard_coco': 840_376_374,
    'larger_coco': 685_332_438,
    'depth_pruned_coco': 722_273_334,
    'lite_coco': 573_763_062,
    'smaller_coco': 439_680_438,
    'tiny_shapes': 3_940_132,
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Shapes in COCO format, and weights that stand for the published ones."""
    root = tmp_path_factory.mktemp('concepts')
    for _ in write_shapes(WRITERS['coco_instance'], root, 2, size=(48, 64)):
        pass
    torch.manual_seed(0)
    torch.save(Sam3Segmentor('tiny').state_dict(), root / 'base.pt')
    return root


def small(cfg, root):
    """A tiny model on small pictures, for one iteration."""
    for model in (
        [cfg.model] if 'student' not in cfg.model else [cfg.model.student, cfg.model.teacher]
    ):
        model.update(variant='tiny')
        if model.get('init_cfg'):
            model.init_cfg.update(checkpoint=str(root / 'base.pt'))
    for part in cfg.model.get('parts', []):
        part.update(channels=48)
    for name, split in (('train', 'train'), ('val', 'val')):
        loader = cfg[f'{name}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        annotations = str(next(root.rglob(f'*{split}*.json')))
        loader.dataset.update(
            ann_file=annotations,
            img_dir=str(next(p for p in root.rglob(f'{split}*') if p.is_dir())),
        )
        for step in loader.dataset.pipeline:
            if 'scale' in step:
                step['scale'] = (64, 64)
            if 'phrases' in step:
                step.update(phrases=SHAPES_THINGS)
        if name == 'val':
            cfg.val_evaluator[1].ann_file = annotations
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.param_scheduler = None
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.vis_backends, cfg.visualizer = None, None
    return cfg


@pytest.mark.parametrize('name', ['standard_coco', 'depth_pruned_coco', 'lite_distill'])
def test_configs_of_large_models_train_a_small_one(repository, data, tmp_path, name):
    path = repository / f'configs/sam3/sam3_{name}.py'
    cfg = small(load_config(path), data)
    runner = build_runner(cfg, path, tmp_path)
    runner.train()
    values = {k: v.current() for k, v in runner.message_hub.log_scalars.items()}

    expected = 'train/loss_embed_mse' if 'distill' in name else 'train/loss_box'
    assert {expected, 'val/concept/cgF1', 'val/coco/segm_mAP'} <= set(values)
    rates = {group['lr'] for group in runner.optim_wrapper.param_groups}
    assert (len(rates) > 3) == ('pruned' in name)


@pytest.mark.parametrize(('name', 'count'), PARAMETERS.items())
def test_sizes(repository, name, count):
    cfg = load_config(repository / f'configs/sam3/sam3_{name}.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)

    assert sum(value.numel() for value in model.parameters()) == count


def test_the_small_model_trains_and_is_scored(repository, tmp_path):
    path = repository / 'configs/sam3/sam3_tiny_shapes.py'
    cfg = load_config(path)
    for name in ('train_dataloader', 'val_dataloader'):
        cfg[name].update(batch_size=2, num_workers=0, persistent_workers=False)
        cfg[name].dataset.update(num_samples=4)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.vis_backends, cfg.visualizer = None, None
    runner = build_runner(cfg, path, tmp_path)
    runner.train()
    values = {k: v.current() for k, v in runner.message_hub.log_scalars.items()}

    assert values['train/loss'] > 0
    assert {'val/concept/cgF1', 'val/concept/pmF1', 'val/concept/IL_MCC'} <= set(values)


def test_the_small_model_learns_a_batch(repository):
    """What it is from the start must let words and colours meet; weights that fade do not."""
    cfg = load_config(repository / 'configs/sam3/sam3_tiny_shapes.py')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    items = [dataset[index] for index in range(4)]
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, fused=True)
    history = []
    for _ in range(25):
        data = model.data_preprocessor(pseudo_collate(copy.deepcopy(items)), True)
        losses = model(**data, mode='loss')
        loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items()})

    first, last = history[0], history[-1]
    assert last['loss_presence'] < 0.3 * first['loss_presence']
    assert last['loss_dice'] < 0.9 * first['loss_dice']
