import pytest
import yaml

from seg.apis.guide_config import GUIDE_DEFAULTS, config_text, read_guide
from seg.engine.config_options import load_config
from seg.utils.checks import UserError

GUIDE = """
model: {type: vit_l, checkpoint: models/sam/sam_vit_l_0b3195.pth, freeze_prompt_encoder: true}
data: {data_dir: data/mine, prompt_mode: both, num_points: 2, batch_size: 4, num_workers: 0}
finetuning: {strategy: lora, lora: {r: 4, lora_alpha: 16, target_modules: [qkv]}}
training: {num_epochs: 3, learning_rate: 2e-4, warmup_epochs: 1, lr_scheduler: linear}
loss: {segmentation_loss: {type: dice_bce, bce_weight: 0.5}, iou_loss: {weight: 2.0}}
output: {output_dir: runs, experiment_name: first}
device: {use_amp: false}
"""


@pytest.fixture
def configs(repository):
    """Written configs go beside the shipped ones and are removed again."""
    path = repository / 'configs/sam/imported_in_a_test.py'
    yield path
    path.unlink(missing_ok=True)


def test_every_setting_arrives(configs, tmp_path):
    (tmp_path / 'mine.yaml').write_text(GUIDE)
    guide = read_guide(tmp_path / 'mine.yaml')
    configs.write_text(config_text(guide, 10, 'mine.yaml'))
    cfg = load_config(configs)

    assert cfg.model.variant == 'vit_l'
    strategy = cfg.model.strategy
    assert (strategy.rank, strategy.alpha, strategy.dropout) == (4, 16.0, 0.1)
    assert tuple(strategy.targets) == ('qkv',)
    assert (strategy.prompt_encoder, strategy.mask_decoder) == (False, True)
    assert [loss.weight for loss in cfg.model.criterion.mask_losses] == [1.0, 0.5]
    assert cfg.model.criterion.iou_weight == 2.0
    assert cfg.train_dataloader.dataset.root == 'data/mine'
    assert cfg.train_dataloader.dataset.mask_kind == 'binary'
    assert cfg.train_dataloader.dataset.pipeline[3].mode == 'both'
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.train_cfg.max_iters == 9  # 3 epochs of ceil(10 / 4)
    assert cfg.train_cfg.val_interval == 3
    assert cfg.optim_wrapper.optimizer.lr == 2e-4
    assert cfg.optim_wrapper.accumulative_counts == 4
    assert cfg.param_scheduler[1].end_factor == pytest.approx(1e-6 / 2e-4)
    assert cfg.work_dir == 'runs/first'


@pytest.mark.parametrize('kind', ['directory', 'coco'])
@pytest.mark.parametrize('strategy', ['full', 'adapter', 'decoder'])
def test_the_defaults_of_the_guide_become_a_valid_config(configs, tmp_path, kind, strategy):
    content = dict(data=dict(dataset_type=kind), finetuning=dict(strategy=strategy))
    (tmp_path / 'mine.yaml').write_text(yaml.safe_dump(content))
    configs.write_text(config_text(read_guide(tmp_path / 'mine.yaml'), 100, 'mine.yaml'))
    cfg = load_config(configs)

    expected = 'TrainAdapters' if strategy == 'adapter' else 'TrainDecoder'
    assert cfg.model.strategy.type.__name__ == expected
    assert set(GUIDE_DEFAULTS) == {
        'model', 'data', 'finetuning', 'training', 'loss', 'output', 'device'
    }  # fmt: skip


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('modle: {}', r"unknown key 'modle'.*Did you mean 'model'"),
        ('data: {promt_mode: box}', r"unknown key 'data\.promt_mode'.*'data\.prompt_mode'"),
        ('data: {batch_size: many}', r"data\.batch_size: expected a value like 2, got 'many'"),
        ('data: 3', r'data: expected a section'),
        ('- 1', r'expected sections'),
        ('a: [', r'expected YAML'),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    (tmp_path / 'mine.yaml').write_text(text)
    with pytest.raises(UserError, match=message):
        read_guide(tmp_path / 'mine.yaml')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('finetuning: {strategy: qlora}', r"unknown finetuning\.strategy 'qlora'"),
        ('loss: {segmentation_loss: {type: iou}}', r"segmentation_loss\.type 'iou'"),
        ('training: {lr_scheduler: step}', r"lr_scheduler 'step'"),
        ('data: {prompt_mode: text}', r"prompt_mode 'text'"),
        ('training: {optimizer: {type: sgd}}', r"unknown training\.optimizer\.type 'sgd'"),
        ('data: {batch_size: 0}', r'data\.batch_size: expected at least 1, got 0'),
        ('training: {num_epochs: 0}', r'training\.num_epochs: expected at least 1, got 0'),
        ('training: {learning_rate: 0}', r'training\.learning_rate: expected a number above 0'),
        ('training: {num_epochs: 2}', r'warmup_epochs: .*fewer than num_epochs=2, got 2'),
    ],
)
def test_unknown_choices_are_named(tmp_path, text, message):
    (tmp_path / 'mine.yaml').write_text(text)
    with pytest.raises(UserError, match=message):
        config_text(read_guide(tmp_path / 'mine.yaml'), 10, 'mine.yaml')


def test_the_tool_asks_for_what_it_cannot_count(run_tool, repository, tmp_path, monkeypatch):
    (tmp_path / 'mine.yaml').write_text(GUIDE)
    monkeypatch.chdir(repository)
    arguments = (tmp_path / 'mine.yaml', 'configs/sam/imported_in_a_test.py')
    code, _, errors = run_tool('import_config', *arguments)
    assert code == 2
    assert 'add --num-images N' in errors


def test_shipped_configs_are_not_overwritten(run_tool, repository, tmp_path):
    (tmp_path / 'mine.yaml').write_text(GUIDE)
    shipped = repository / 'configs/sam/sam_vitb_folders_decoder.py'
    before = shipped.read_text()
    code, _, errors = run_tool('import_config', tmp_path / 'mine.yaml', shipped)
    assert (code, shipped.read_text()) == (2, before)
    assert 'expected a new file' in errors
