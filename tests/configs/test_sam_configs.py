"""The shipped configs of SAM: they train on the data they are for, in small."""

import importlib
import importlib.util

import pytest
import torch

from ext.sam import sam_variant
from seg.datasets.converters import WRITERS, write_shapes
from seg.engine.config_options import load_config
from seg.engine.launch import build_runner, set_mixed_precision
from seg.registry import MODELS
from seg.testing.processes import in_processes
from seg.testing.reference_sam import TOY_SAM, reference_sam
from seg.testing.tiny_rapsam import tiny_rapsam_cfg

HAS_PEFT = importlib.util.find_spec('peft') is not None
FOLDERS = ['decoder', 'full', 'adapter', 'cached']
FOLDERS += ['lora', 'lowmem'] if HAS_PEFT else []
CANVAS = (128, 128)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes')
    for kind in ('folders', 'coco_instance', 'bdd100k'):
        for _ in write_shapes(WRITERS[kind], root / kind, 2, size=(48, 64)):
            pass
    torch.save(reference_sam(sam_variant(TOY_SAM)).state_dict(), root / 'base.pth')
    return root


def small(cfg, root, work, **model):
    """A toy model on small pictures, for two iterations."""
    settings = cfg.model.settings if 'settings' in cfg.model else cfg.model
    settings.update(variant=TOY_SAM, **model)
    cfg.model.init_cfg = dict(type='Pretrained', checkpoint=str(root / 'base.pth'))
    if 'first_block' in settings.get('strategy', {}):
        settings.strategy.first_block = 1
    if 'embedding_cache' in settings:
        settings.embedding_cache.folder = str(work / 'cache')
    if cfg.get('activation_checkpointing'):
        cfg.activation_checkpointing = ['image_encoder.blocks.1']
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg[name]
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        for step in loader.dataset.pipeline:
            if 'scale' in step:
                step['scale'] = CANVAS
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.param_scheduler = None
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.vis_backends, cfg.visualizer = None, None
    return cfg


def train(cfg, path, work):
    runner = build_runner(cfg, path, work)
    runner.train()
    return {k: v.current() for k, v in runner.message_hub.log_scalars.items()}


@pytest.mark.parametrize('name', FOLDERS)
def test_folders(repository, data, tmp_path, name):
    path = repository / f'configs/sam/sam_vitb_folders_{name}.py'
    cfg = small(load_config(path), data, tmp_path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.root = str(data / 'folders')
    values = train(cfg, path, tmp_path / 'work')

    assert values['train/loss_seg'] > 0
    assert 0 <= values['val/prompt/IoU'] <= 100
    assert values['val/prompt/loss_seg'] > 0
    assert (tmp_path / 'work/best.pth').is_file()
    assert (tmp_path / 'cache').exists() == (name == 'cached')


def test_distilling(repository, data, tmp_path):
    path = repository / 'configs/sam/sam_vitb_distill_vith.py'
    cfg = load_config(path)
    cfg.model.settings = {}  # for small()
    cfg = small(cfg, data, tmp_path)
    del cfg.model['settings'], cfg.model['init_cfg']
    for part in (cfg.model.student, cfg.model.teacher):
        part.variant = TOY_SAM
        part.init_cfg.checkpoint = str(data / 'base.pth')
    cfg.model.cache.folder = str(tmp_path / 'cache')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.root = str(data / 'folders')
    values = train(cfg, path, tmp_path / 'work')

    assert values['train/loss_embed_mse'] >= 0
    assert values['train/loss_embed_cosine'] >= 0
    assert 0 <= values['val/prompt/IoU'] <= 100
    assert list((tmp_path / 'cache').rglob('*.bin'))


def test_boxes_of_another_model_on_bdd100k(repository, data, tmp_path):
    """The decoder's checkpoint, which holds only what was trained, is tested with other boxes."""
    path = repository / 'configs/sam/sam_vitb_bdd100k_decoder.py'
    cfg = small(load_config(path), data, tmp_path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.root = str(data / 'bdd100k')
    train(cfg, path, tmp_path / 'decoder')
    path = repository / 'configs/sam/sam_vitb_bdd100k_rapsam_boxes.py'
    cfg = small(load_config(path), data, tmp_path)
    proposer = tiny_rapsam_cfg(faithful=False)
    torch.save(MODELS.build(proposer).state_dict(), tmp_path / 'rapsam.pth')
    source = dict(type='Pretrained', checkpoint=str(tmp_path / 'rapsam.pth'))
    cfg.model.update(min_area=1, class_table=(11, 12, 13, 0, 1))
    cfg.model.proposer = {**proposer, 'init_cfg': source}
    cfg.test_dataloader.dataset.root = str(data / 'bdd100k')
    cfg.load_from = str(tmp_path / 'decoder/best.pth')
    for name in (
        'train_dataloader',
        'val_dataloader',
        'train_cfg',
        'val_cfg',
        'optim_wrapper',
        'val_evaluator',
    ):
        cfg[name] = None
    scores = build_runner(cfg, path, tmp_path / 'work').test()

    assert {key.split('/')[0] for key in scores} == {'auto'}
    assert 0 <= scores['auto/mIoU'] <= 100


def test_coco(repository, data, tmp_path):
    path = repository / 'configs/sam/sam_vitb_coco_decoder.py'
    cfg = small(load_config(path), data, tmp_path)
    for name, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{name}_dataloader'].dataset
        annotations = sorted((data / 'coco_instance').rglob(f'*{split}*.json'))
        dataset.ann_file = str(annotations[0])
        images = next(p for p in (data / 'coco_instance').rglob(f'{split}*') if p.is_dir())
        dataset.img_dir = str(images)
    assert 0 <= train(cfg, path, tmp_path / 'work')['val/prompt/IoU'] <= 100


@pytest.mark.parametrize(
    ('name', 'regime'),
    [
        ('decoder', 'oracle_gt_box'),
        ('instance_boxes', 'instance_gt_box'),
        ('classtokens', 'auto'),
    ],
)
def test_bdd100k(repository, data, tmp_path, name, regime):
    path = repository / f'configs/sam/sam_vitb_bdd100k_{name}.py'
    cfg = small(load_config(path), data, tmp_path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.root = str(data / 'bdd100k')
    cfg.val_evaluator.out_dir = str(tmp_path / 'scores')
    values = train(cfg, path, tmp_path / 'work')
    scores = {key for key in values if key.startswith('val/') and 'IoU' in key}

    assert {key.split('/')[1] for key in scores} == {regime}
    assert f'val/{regime}/IoU_traffic light' in scores
    assert 0 <= values[f'val/{regime}/mIoU'] <= 100
    text = (tmp_path / 'scores/evaluation_results.txt').read_text()
    assert text.startswith(f'regime: {regime}\n')


def test_medical_images_are_binary_and_boxes(repository):
    cfg = load_config(repository / 'configs/sam/sam_vitb_medical.py')
    assert cfg.train_dataloader.dataset.mask_kind == cfg.val_dataloader.dataset.mask_kind
    assert cfg.train_dataloader.dataset.mask_kind == 'binary'
    assert cfg.train_dataloader.dataset.pipeline[3].mode == 'box'


def test_class_tokens_add_4864_parameters(repository):
    cfg = load_config(repository / 'configs/sam/sam_vitb_bdd100k_classtokens.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.parameters()) == 93_735_472 + 4_864
    trained = {n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {'mask_decoder', 'class_tokens'}


@pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')
@pytest.mark.parametrize('name', ['decoder', 'adapter'])
def test_two_processes_train_the_same_weights(repository, data, tmp_path, name):
    """Frozen stem, recomputed activations, bfloat16 and parameters that boxes leave unused."""
    path = repository / f'configs/sam/sam_vitb_folders_{name}.py'

    def work(rank):
        cfg = small(load_config(path), data, tmp_path)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.root = str(data / 'folders')
        cfg.train_dataloader.batch_size = 1
        cfg.train_dataloader.dataset.pipeline[3].mode = 'box'
        cfg.activation_checkpointing = ['image_encoder.blocks.1']
        cfg.experiment_name = f'sam_{name}'
        set_mixed_precision(cfg)
        runner = build_runner(cfg, path, tmp_path / 'work', launcher='pytorch')
        before = {k: v.clone() for k, v in runner.model.module.state_dict().items()}
        runner.train()
        after = runner.model.module.state_dict()
        moved = {k.split('.')[0] for k, v in after.items() if not torch.equal(v, before[k])}
        return {k: v.clone() for k, v in after.items()}, moved

    importlib.import_module('mmcv.ops')  # so that the processes need not do it each
    (first, moved), (second, _) = in_processes(work)
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert 'mask_decoder' in moved
