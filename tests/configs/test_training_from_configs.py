"""Shipped configs train: full-size models take a step, small ones run on files end to end."""

import json

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from PIL import Image

from seg.datasets.metainfo import COCO_PANOPTIC
from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.models.losses.steering import Steered
from seg.registry import MODELS
from seg.structures.panoptic_ids import encode_panoptic
from seg.structures.prompts import PROMPT_FEATURES
from seg.testing.tiny_rapsam import toy_sample

FULL_SIZE = ('r18', 'r50', 'convl')
NANO = [
    'nano_quick_shapes',
    'nano_shapes_long',
    'nano_coco_sample',
    'nano_prompts_shapes',
    'nano_shapes',
]
PARAMETERS = {
    'r18_12e_adaptor': 21_355_317,
    'r50_12e_adaptor': 47_780_117,
    'convl_12e_adaptor': 213_991_157,
    'r50_custom_coco': 48_178_204,
    'r50_coco_yt19_points': 47_780_117,
    'r50_coco_yt21_davis_ref': 51_027_120,
    'r50_joint': 51_027_120,
    'nano_quick_shapes': 4_637_097,
    'nano_shapes_long': 4_637_097,
    'nano_coco_sample': 4_662_493,
    'nano_prompts_shapes': 5_278_282,
    'nano_joint_shapes': 5_395_924,
    'nano_joint_scratch_shapes': 5_395_924,
    'nano_shapes': 5_395_924,
}
SIZE = (48, 72)


@pytest.mark.slow
@pytest.mark.parametrize('name', [f'{size}_12e_adaptor' for size in FULL_SIZE] + NANO)
def test_a_shipped_model_takes_a_step(repository, name):
    cfg = load_config(repository / f'configs/rap_sam/rap_sam_{name}.py')
    cfg.model.data_preprocessor.pad_size = None  # a small picture instead of 736 x 1280
    if 'num_points' in cfg.model.head.criterion.sampling:
        cfg.model.head.criterion.sampling.num_points = 64
    model = MODELS.build(cfg.model).train()
    for module in model.modules():
        if isinstance(module, Steered):
            module.begin_step(progress=0.9)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    clip, sample = toy_sample('panoptic')
    watched = (model.neck.out_conv.weight, next(model.backbone.parameters()))
    before = [parameter.detach().clone() for parameter in watched]
    log = model.train_step(dict(inputs=[clip], data_samples=[sample]), wrapper)

    assert torch.isfinite(log['loss'])
    moved = [not torch.equal(a, b) for a, b in zip(before, watched, strict=True)]
    assert moved == [True, not name.startswith('convl')]  # the tower of CLIP is frozen


@pytest.mark.parametrize(('name', 'count'), PARAMETERS.items())
def test_a_shipped_model_has_its_size(repository, name, count):
    """What documents and papers say about sizes; the models are built without values."""
    cfg = load_config(repository / f'configs/rap_sam/rap_sam_{name}.py')
    if cfg.model.head.num_things == 'from_data':
        cfg.model.head.update(num_things=3, num_stuff=0)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)

    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert count <= 6_000_000 or 'nano' not in name


def test_every_shipped_config_has_a_known_size(repository):
    shipped = {path.stem for path in (repository / 'configs/rap_sam').glob('*.py')}
    trained = {name for name in shipped if not name.startswith('eval_')}
    assert trained == {f'rap_sam_{name}' for name in PARAMETERS}


def test_the_optimizer_is_the_published_one(repository):
    """Rates and decays by kind of parameter; the model is built without values."""
    cfg = load_config(repository / 'configs/rap_sam/rap_sam_r50_12e_adaptor.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    found = {names[id(g['params'][0])]: (g['lr'], g['weight_decay']) for g in groups}

    assert len(found) == len(names)
    assert found['backbone.conv1.weight'] == pytest.approx((1e-5, 0.05))
    assert found['backbone.bn1.weight'] == pytest.approx((1e-5, 0.05))
    assert found['head.object_queries.weight'] == pytest.approx((1e-4, 0.05))
    assert found['neck.out_conv.weight'] == pytest.approx((1e-4, 0.05))
    assert found['neck.up_blocks.0.up_norm.weight'] == pytest.approx((1e-4, 0.0))
    assert found['head.stages.0.ffn_norm.weight'] == pytest.approx((1e-4, 0.0))
    assert cfg.optim_wrapper.clip_grad.max_norm == 0.01
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)


@pytest.mark.parametrize('name', FULL_SIZE)
def test_prompted_queries_learn_no_classes_as_published(repository, name):
    cfg = load_config(repository / f'configs/rap_sam/rap_sam_{name}_12e_adaptor.py')

    assert cfg.model.head.task_loss_weights == dict(
        panoptic=dict(cls=2.0, mask=5.0, dice=5.0),
        interactive_image=dict(mask=5.0, dice=5.0, iou=10.0),
    )


def write_images(folder, count=2):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(1, count + 1):
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / f'{i}.png')
    return [
        {'id': i, 'file_name': f'{i}.png', 'height': SIZE[0], 'width': SIZE[1]}
        for i in range(1, count + 1)
    ]


def write_panoptic(root, split):
    """Two images of a person, a dog and grass, in the layout of COCO."""
    images = write_images(root / split)
    seg_dir = root / 'annotations' / f'panoptic_{split}'
    seg_dir.mkdir(parents=True)
    ids = np.ones(SIZE, np.int32)
    ids[8:30, 5:30], ids[20:44, 40:66] = 2, 3
    segments = [dict(id=i, category_id=c, iscrowd=0) for i, c in ((1, 193), (2, 1), (3, 18))]
    for image in images:
        Image.fromarray(encode_panoptic(ids)).save(seg_dir / image['file_name'])
    content = dict(
        images=images,
        annotations=[
            dict(image_id=i['id'], file_name=i['file_name'], segments_info=segments) for i in images
        ],
        categories=[
            dict(id=info.category_id, name=info.name, isthing=int(n < COCO_PANOPTIC.num_things))
            for n, info in enumerate(COCO_PANOPTIC.classes)
        ],
    )
    (root / 'annotations' / f'panoptic_{split}.json').write_text(json.dumps(content))


def write_instances(root, split, names=('bolt', 'nut', 'washer')):
    """Two images with a rectangle of each of the first two classes."""
    images = write_images(root / split)
    shapes = [[5, 8, 30, 8, 30, 30, 5, 30], [40, 20, 66, 20, 66, 44, 40, 44]]
    annotations = [
        dict(id=10 * i['id'] + n, image_id=i['id'], category_id=7 + n, segmentation=[s], iscrowd=0)
        for i in images
        for n, s in enumerate(shapes)
    ]
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=7 + n, name=name) for n, name in enumerate(names)],
    )
    (root / 'annotations').mkdir(exist_ok=True)
    (root / 'annotations' / f'{split}.json').write_text(json.dumps(content))


def shrink_model(model):
    """The same parts, narrow."""
    model.data_preprocessor.pad_size = None
    model.backbone.update(depth=18, base_channels=8, init_cfg=None)
    model.neck.update(in_channels=(8, 16, 32, 64), agg_channels=8, feat_channels=16)
    if 'num_groups' in model.neck.norm_cfg:
        model.neck.norm_cfg.num_groups = 4
    model.head.update(feat_channels=16, num_queries=5, num_stages=1, embed_channels=12)
    model.head.stage.update(num_heads=2, ffn_channels=16)
    model.head.prompt_adapter.num_heads = 2
    model.head.criterion.sampling.num_points = 64
    if 'embedding_file' in model.head.classifier:
        model.head.classifier.embedding_file = None


def shrink_pipeline(dataset, root):
    """Small pictures and files below ``root``; ``data/coco/x`` becomes ``root/x``."""
    for key in ('ann_file', 'img_dir', 'seg_dir'):
        if key in dataset:
            dataset[key] = str(root / '/'.join(dataset[key].split('/')[2:]))
    for step in dataset.pipeline:
        for key in ('scale', 'crop_size'):
            if key in step:
                step[key] = (64, 64)


def shrink_run(cfg, root):
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg[name]
        loader.update(num_workers=0, persistent_workers=False)
        for dataset in loader.dataset.get('sources', {'only': loader.dataset}).values():
            shrink_pipeline(dataset, root)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.vis_backends, cfg.visualizer = None, None


def scalars(runner):
    return {k: v.current() for k, v in runner.message_hub.log_scalars.items()}


def test_coco_panoptic_and_clicks_train_and_are_evaluated(repository, tmp_path):
    for split in ('train2017', 'val2017'):
        write_panoptic(tmp_path / 'coco', split)
    path = repository / 'configs/rap_sam/rap_sam_r50_12e_adaptor.py'
    cfg = load_config(path)
    shrink_model(cfg.model)
    shrink_run(cfg, tmp_path / 'coco')
    runner = build_runner(cfg, path, tmp_path / 'work')
    runner.train()
    values = scalars(runner)

    assert values['train/loss'] > 0
    assert {'val/panoptic/PQ', 'val/interactive/mIoU@1'} <= set(values)
    tasks = {name.split('/')[1] for name in values if name.startswith('train/') and 'loss_' in name}
    assert tasks == {'panoptic', 'interactive_image'}
    assert (tmp_path / 'work' / 'best.pth').is_file()


def test_a_sample_of_coco_is_fitted_and_drawn(repository, tmp_path):
    write_panoptic(tmp_path / 'sample', 'val2017')
    path = repository / 'configs/rap_sam/rap_sam_nano_coco_sample.py'
    cfg = load_config(path)
    shrink_run(cfg, tmp_path / 'sample')
    runner = build_runner(cfg, path, tmp_path / 'work')
    runner.train()
    values = scalars(runner)

    assert values['train/panoptic/loss_semantic'] > 0
    assert 0 <= values['val/panoptic/PQ'] <= 1
    pictures = (tmp_path / 'work/val_pictures').glob('*/*.png')
    assert sorted(picture.name for picture in pictures) == ['panoptic_1.png', 'panoptic_2.png']


def shrink_shapes(cfg, num_frames):
    """Few, small and short samples of Shapes."""
    for loader, num_samples in ((cfg.train_dataloader, 100), (cfg.val_dataloader, 1)):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        for source in loader.dataset.sources.values():
            source.update(num_samples=num_samples, size=(64, 96))
            if 'num_frames' in source:
                source.num_frames = num_frames
            source.pop('occlusion_prob', None)
            for step in source.pipeline:
                if 'scale' in step:
                    step.scale = (64, 96)
    cfg.train_dataloader.batch_sampler.task_batch_sizes = None
    cfg.test_dataloader, cfg.test_cfg, cfg.test_evaluator = None, None, None
    cfg.vis_backends, cfg.visualizer, cfg.custom_hooks = None, None, []


@pytest.mark.slow
def test_a_training_on_clips_keeps_its_best_by_all_tasks(repository, tmp_path):
    path = repository / 'configs/rap_sam/rap_sam_nano_shapes.py'
    cfg = load_config(path)
    shrink_shapes(cfg, num_frames=3)
    sources = cfg.train_dataloader.dataset.sources
    for name in ('panoptic', 'interactive_image', 'interactive_video'):
        sources.pop(name)
    cfg.train_dataloader.dataset.ratios = None
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.val_cfg.protocol.max_clicks = 3
    runner = build_runner(cfg, path, tmp_path / 'work')
    runner.train()
    values = scalars(runner)

    assert values['train/vos/loss_object_score'] > 0
    keys = cfg.default_hooks.checkpoint.save_best
    assert {'davis/J&F', 'interactive_video/J&F', 'panoptic/PQ'} <= set(keys)
    assert {f'val/{key}' for key in keys} <= set(values)
    assert (tmp_path / 'work' / 'best.pth').is_file()
    pictures = (tmp_path / 'work/val_pictures').glob('*/*.png')
    assert {path.stem.rpartition('_')[0] for path in pictures} == set(cfg.val_evaluator.metrics)


def test_custom_coco_data_needs_paths_alone(repository, tmp_path):
    for split in ('train', 'val'):
        write_instances(tmp_path / 'custom', split)
    path = repository / 'configs/rap_sam/rap_sam_r50_custom_coco.py'
    cfg = load_config(path)
    shrink_model(cfg.model)
    shrink_run(cfg, tmp_path / 'custom')
    runner = build_runner(cfg, path, tmp_path / 'work')
    runner.train()

    assert (runner.model.head.num_things, runner.model.head.num_stuff) == (3, 0)
    assert runner.model.head.classifier.num_classes == 3
    assert runner.val_dataloader.dataset.metainfo['classes'] == ('bolt', 'nut', 'washer')
    values = scalars(runner)
    assert values['train/panoptic/loss_semantic'] > 0
    assert 0 <= values['val/coco/segm_mAP'] <= 100
    assert (tmp_path / 'work' / 'best.pth').is_file()


def test_no_config_names_a_place_on_this_machine(repository):
    for path in (repository / 'configs').rglob('*.py'):
        text = path.read_text(encoding='utf-8')
        assert "'/" not in text, path
        assert "'~" not in text, path


@pytest.mark.parametrize(
    ('name', 'kinds'),
    [
        ('rap_sam_r50_12e_adaptor', {'click'}),
        ('rap_sam_r18_12e_adaptor', {'click'}),
        ('eval_rap_sam_prompt', {'click'}),
        ('eval_rap_sam_vos', {'mask'}),
        ('rap_sam_r50_joint', set(PROMPT_FEATURES)),
        ('eval_rap_sam_refcoco', set(PROMPT_FEATURES)),
    ],
)
def test_a_shipped_model_says_which_prompts_it_was_trained_for(repository, name, kinds):
    cfg = load_config(repository / f'configs/rap_sam/{name}.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)

    assert model.prompt_kinds == kinds
