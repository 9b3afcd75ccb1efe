import json
import runpy

import pytest

from seg.apis.efficient_sam_guide import efficient_sam_config_text, read_efficient_sam_guide
from seg.engine.config_options import load_config
from seg.utils.checks import UserError

GUIDE = """
{
  // what is trained; "//" inside of a text stays: see output
  "model": {"student_variant": "vits", "teacher_variant": "vits", "freeze_encoder": false,
            "freeze_prompt_encoder": false, "teacher_checkpoint": "t.pth"},
  "dataset": {"train_root": "d/train/images", "train_annotation": "d/train/annotations.json",
              "val_root": "d/val", "target_size": 512, "max_objects": 7, "iou_threshold": 0.25,
              "random_box_augmentation": true, "box_noise_scale": 0.2},
  "training": {"epochs": 4, "batch": 2, "lr": 2e-4, "optimizer": "sgd", "scheduler": "step",
               "weight_decay": 0.001, "warmup": 1, "grad_clip_norm": 0.5},
  /* the error of the predicted quality
     is always trained */
  "losses": {"focal_alpha": 0.5, "focal_gamma": 1.0, "dice_weight": 2.0, "iou_weight": 0.0,
             "boundary_weight": 0.25, "adaptive_weights": "ema_ratio"},
  "distillation": {"enabled": true, "temperature": 3.0, "alpha": 0.6, "beta": 0.4,
                   "feature_distillation": true, "attention_distillation": true},
  "output": {"save_dir": "runs//one"},
}
"""


@pytest.fixture
def imported(repository, tmp_path):
    """Write a guide and import it; written configs go beside the shipped ones and are removed."""
    path = repository / 'configs/efficient_sam/imported_in_a_test.py'

    def run(text, num_images=10):
        (tmp_path / 'mine.json').write_text(text)
        guide = read_efficient_sam_guide(tmp_path / 'mine.json')
        path.write_text(efficient_sam_config_text(guide, num_images, 'mine.json'))
        return load_config(path)

    yield run
    path.unlink(missing_ok=True)


def test_every_setting_arrives(imported):
    cfg = imported(GUIDE)
    student, teacher = cfg.model.student, cfg.model.teacher
    assert (student.variant, student.image_size, teacher.image_size) == ('vits', 512, 512)
    assert student.init_cfg.checkpoint == 'models/efficient_sam/efficient_sam_vits.pt'
    assert (teacher.variant, teacher.init_cfg.checkpoint) == ('vits', 't.pth')
    assert student.strategy.type.__name__ == 'TrainAll'
    assert student.strategy.prompt_encoder is True
    losses = {loss.type.__name__: loss for loss in student.criterion.mask_losses}
    assert set(losses) == {'MaskFocalLoss', 'MaskDiceLoss', 'BoundaryBandLoss'}
    assert (losses['MaskFocalLoss'].alpha, losses['MaskFocalLoss'].gamma) == (0.5, 1.0)
    assert losses['MaskDiceLoss'].weight == 2.0
    assert student.criterion.balancer.type.__name__ == 'EmaRatio'
    data = cfg.train_dataloader.dataset
    assert (data.img_dir, data.min_box_iou) == ('d/train/images', 0.25)
    assert cfg.val_dataloader.dataset.img_dir == 'd/val/images'
    assert (data.pipeline[3].max_prompts, data.pipeline[3].box_jitter) == (7, 0.2)
    assert tuple(data.pipeline[2].scale) == (512, 512)
    assert tuple(cfg.test_dataloader.dataset.pipeline[1].scale) == (512, 512)
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.train_cfg.max_iters == 20
    assert cfg.train_cfg.val_interval == 5
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type.__name__ == 'SGD'
    assert (optimizer.lr, optimizer.weight_decay, optimizer.momentum) == (2e-4, 0.001, 0.9)
    assert cfg.optim_wrapper.clip_grad.max_norm == 0.5
    warm, steps = cfg.param_scheduler
    assert (warm.end, steps.begin, steps.step_size, steps.gamma) == (5, 5, 5, 0.1)
    names = {part.type.__name__ for part in cfg.model.parts}
    assert names == {
        'MaskDistillation',
        'DecoderFeatureDistillation',
        'EmbeddingDistillation',
        'DecoderAttentionDistillation',
    }
    schedule = cfg.model.schedule
    assert (schedule.temperature, schedule.label_weight, schedule.teacher_weight) == (3.0, 0.6, 0.4)
    assert [hook.type.__name__ for hook in cfg.custom_hooks] == ['SteeringHook']
    assert cfg.work_dir == 'runs//one'


@pytest.mark.parametrize('scheduler', ['cosine', 'onecycle', 'step'])
@pytest.mark.parametrize('optimizer', ['adamw', 'adam', 'sgd'])
def test_optimizers_and_schedulers(imported, scheduler, optimizer):
    training = dict(optimizer=optimizer, scheduler=scheduler)
    cfg = imported(json.dumps(dict(training=training)), 1000)
    assert cfg.optim_wrapper.optimizer.type.__name__.lower() == optimizer
    assert cfg.train_cfg.max_iters == 12_500
    if scheduler == 'onecycle':
        (only,) = cfg.param_scheduler
        assert (only.total_steps, only.eta_max, only.pct_start) == (12_500, 1e-4, 0.1)
    assert cfg.model.type.__name__ == 'EfficientSamSegmentor'
    assert 'betas' not in cfg.optim_wrapper.optimizer


def test_learned_weights_of_losses_have_a_rate_of_their_own(imported):
    cfg = imported(json.dumps(dict(losses=dict(adaptive_weights='uncertainty'))))
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys['balancer.log_vars'].decay_mult == 0
    names = [hook.type.__name__ for hook in cfg.custom_hooks]
    assert names == ['TrainedWeightsHook', 'SteeringHook']


@pytest.mark.parametrize(
    ('name', 'iters'), [('finetune_config', 12_500), ('finetune_config_light', 10_000)]
)
def test_the_files_of_the_guide_are_imported(repository, imported, name, iters):
    text = (repository / f'configs/efficient_sam/{name}.json').read_text()
    json.loads(text)  # strict
    cfg = imported(text, 1000)
    assert cfg.train_cfg.max_iters == iters
    if name == 'finetune_config':
        assert cfg.model.schedule.mode == 'increase'
        assert len(cfg.model.parts) == 3


def test_the_tool_writes_the_config(repository, imported, tmp_path, monkeypatch, capsys):
    annotations = tmp_path / 'annotations.json'
    annotations.write_text(json.dumps({'images': [{}] * 8}))
    (tmp_path / 'mine.json').write_text(
        json.dumps(
            dict(
                dataset=dict(train_annotation=str(annotations)),
                training=dict(epochs=3, warmup_epochs=1),
            )
        )
    )
    out = repository / 'configs/efficient_sam/imported_in_a_test.py'
    tool = str(repository / 'tools/import_config.py')

    def run(*arguments):
        monkeypatch.setattr('sys.argv', [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(tool, run_name='__main__')
        return stop.value.code, capsys.readouterr()

    code, printed = run(tmp_path / 'mine.json', out)
    assert code in (0, None), printed.err
    assert load_config(out).train_cfg.max_iters == 6
    code, printed = run(tmp_path / 'mine.json', tmp_path / 'elsewhere.py')
    assert code == 2
    assert 'expected a file in configs/efficient_sam' in printed.err
    annotations.unlink()
    code, printed = run(tmp_path / 'mine.json', out)
    assert code == 2
    assert 'add --num-images N' in printed.err


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"modle": {}}', r"unknown key 'modle'.*Did you mean 'model'"),
        ('{"training": {"epoch": 3}}', r"unknown key 'training\.epoch'.*'training\.epochs'"),
        ('{"training": {"batch": 2, "batch_size": 4}}', 'batch_size or batch, got both'),
        ('{"training": {"epochs": "many"}}', r'training\.epochs: expected a value like 50'),
        ('{"training": {"epochs": 0}}', r'training\.epochs: expected at least 1, got 0'),
        ('{"training": {"epochs": 3}}', r'training\.warmup_epochs: expected fewer than the 3'),
        ('{"training": {"learning_rate": 0}}', r'training\.learning_rate: expected more than 0'),
        ('{"dataset": {"target_size": 1000}}', r'target_size: expected a multiple of 16, got 1000'),
        (
            '{"dataset": {"iou_threshold": 2}}',
            r'iou_threshold: expected a number from 0 to 1, got 2',
        ),
        ('{"distillation": {"beta": -1}}', r'distillation\.beta: expected at least 0, got -1'),
        ('{"distillation": {"temperature": 0}}', r'temperature: expected more than 0, got 0'),
        (
            '{"losses": {"focal_weight": 0, "dice_weight": 0, "iou_weight": 0,'
            ' "boundary_weight": 0}}',
            'losses: expected a weight above 0',
        ),
        ('{"training": {"optimizer": "lamb"}}', r"unknown training\.optimizer 'lamb'"),
        ('{"training": {"scheduler": "poly"}}', r"unknown training\.scheduler 'poly'"),
        ('{"model": {"student_variant": "vith"}}', r"unknown model\.student_variant 'vith'"),
        ('{"losses": {"adaptive_weights": "auto"}}', r"unknown losses\.adaptive_weights 'auto'"),
        ('{"losses": 3}', 'losses: expected a section'),
        ('[1]', 'expected sections'),
        ('{"a": ', r'expected JSON, got: Expecting value: line 1'),
        ('{\n// one\n/* two\nthree */ "a" 1}', 'line 4'),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    (tmp_path / 'mine.json').write_text(text)
    with pytest.raises(UserError, match=message):
        read_efficient_sam_guide(tmp_path / 'mine.json')
