import re

import pytest
from mmengine.registry import Registry

from seg.engine.config_check import check_config
from seg.engine.config_options import load_config
from seg.engine.hooks import TimeBudgetHook
from seg.testing.toy_training import ToyModel, write_toy_config
from seg.utils.checks import UserError


@pytest.fixture
def config(tmp_path):
    return write_toy_config(tmp_path)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('modle.width=3', r"the config takes no 'modle'\. Did you mean 'model'\?"),
        ('model.widht=3', r"ToyModel takes no 'widht'\. Did you mean 'width'\?"),
        ('model.bakbone.depth=3', r"model\.bakbone: ToyModel takes no 'bakbone'"),
        ('train_cfg.max_iter=3', "Did you mean 'max_iters'"),
        ('default_hooks.checkpoint.intervall=3', "Did you mean 'interval'"),
        ('optim_wrapper.optimizer.weight_decey=0', "Did you mean 'weight_decay'"),
        ('param_scheduler.0.T_maks=3', "Did you mean 'T_max'"),
        ('param_scheduler.4.T_max=3', 'expected an index from 0 to 0, got .4.'),
        ('env_cfg.dist.timeout=3', "Did you mean 'dist_cfg'"),
        ('randomness.sed=3', "Did you mean 'seed'"),
        ('vis_backends=none', 'a helper of the config file.*would have no effect'),
        ('auto_scale_lr.enable=true', 'it is not set; set it as a whole'),
        ('load_from', 'expected key=value'),
    ],
)
def test_unknown_key_is_refused_with_a_suggestion(config, option, message):
    with pytest.raises(UserError, match=message):
        load_config(config, [option])


@pytest.mark.parametrize(
    'option',
    [
        'train_cfg.max_iters=2.5',
        'train_cfg.max_iters=many',
        'model.width=wide',
        'param_scheduler.0.by_epoch=1',
        'optim_wrapper.optimizer=AdamW',
        'custom_hooks=3',
    ],
)
def test_value_of_another_kind_is_refused(config, option):
    with pytest.raises(UserError, match=rf'{option.partition("=")[0]}: expected a'):
        load_config(config, [option])


def test_values_are_typed_and_put_in_place(config):
    cfg = load_config(
        config,
        [
            'model.width=8',
            'optim_wrapper.optimizer.lr=1e-4',
            'optim_wrapper.optimizer.betas=0.8,0.9',
            'param_scheduler.0.T_max=7',
            'resume=true',
            'load_from=weights.pth',
            'visualizer=none',
            'optim_wrapper.type=seg.engine.runner.MixedPrecisionOptimWrapper',
        ],
    )
    assert (cfg.model.width, cfg.optim_wrapper.optimizer.lr) == (8, 1e-4)
    assert cfg.optim_wrapper.optimizer.betas == (0.8, 0.9)
    assert cfg.param_scheduler[0].T_max == 7
    assert (cfg.resume, cfg.load_from, cfg.visualizer) == (True, 'weights.pth', None)
    assert cfg.optim_wrapper.type.__name__ == 'MixedPrecisionOptimWrapper'


def test_options_leave_equal_parts_of_the_config_alone(config):
    cfg = load_config(config, ['val_dataloader.dataset.noise=0.5'])
    assert (cfg.val_dataloader.dataset.noise, cfg.test_dataloader.dataset.noise) == (0.5, 0.0)


def test_mistake_in_a_config_file_is_found(config):
    config.write_text(config.read_text().replace('max_iters=20', 'max_itres=20'))
    with pytest.raises(UserError, match=r"train_cfg\.max_itres: .*Did you mean 'max_iters'"):
        load_config(config)


def test_missing_argument_is_named(config):
    config.write_text(config.read_text().replace('dict(type=AdamW', 'dict(type=ToyMetric'))
    with pytest.raises(UserError, match=r"optim_wrapper\.optimizer\.lr: ToyMetric takes no 'lr'"):
        load_config(config)
    with pytest.raises(UserError, match='hook: TimeBudgetHook needs minutes'):
        check_config({'hook': {'type': TimeBudgetHook}})


def test_registered_names_are_checked_like_classes(monkeypatch):
    check_config({'model': {'type': 'ToyModel', 'width': 3}})
    monkeypatch.setattr(Registry, 'get', lambda self, key: None)  # imports all of MMDetection
    with pytest.raises(UserError, match=r"unknown type 'ToyModell'\. Did you mean 'ToyModel'"):
        check_config({'model': {'type': 'ToyModell'}})
    with pytest.raises(UserError, match=r"model\.0\.with: ToyModel takes no 'with'"):
        check_config({'model': [{'type': ToyModel, 'with': 3}]})


def test_layers_take_what_their_builders_take():
    check_config({'norm_cfg': {'type': 'BN', 'requires_grad': True, 'eps': 1e-3}})
    check_config({'init_cfg': {'type': 'Pretrained', 'checkpoint': 'torchvision://resnet50'}})
    with pytest.raises(UserError, match=r"init_cfg\.chekpoint: .*Did you mean 'checkpoint'"):
        check_config({'init_cfg': {'type': 'Pretrained', 'chekpoint': 'torchvision://resnet50'}})
    with pytest.raises(UserError, match="unknown type 'Pretraned'"):
        check_config({'init_cfg': {'type': 'Pretraned'}})
    check_config({'init_cfg': {'type': 'of_the_module_itself', 'anything': 1}})


def test_file_that_is_no_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='expected a file'):
        load_config(tmp_path / 'absent.py')
    (tmp_path / 'broken.py').write_text('model = dict(')
    with pytest.raises(UserError, match=r'broken\.py'):
        load_config(tmp_path / 'broken.py')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('width = 1 / 0', r'ZeroDivisionError: division by zero'),
        ('import os\nmodel = os.environ["NO_SUCH"]', "KeyError: 'NO_SUCH'"),
        ('raise RuntimeError("no data")', 'RuntimeError: no data'),
        ('open("absent.txt")', 'FileNotFoundError: .*absent.txt'),
        ('model = dict(', 'SyntaxError: .*line 1'),
        ('_base_ = "absent.py"', r'FileNotFoundError: .*absent\.py'),
        ('from mmengine.hooks import Hook\n\nx = [][1]', r'IndexError: .*broken\.py, line 3\)'),
    ],
)
def test_error_while_a_config_runs_is_named_with_its_file(tmp_path, text, message):
    path = tmp_path / 'broken.py'
    path.write_text(text)
    with pytest.raises(UserError, match=rf'config {path}: .*{message}.*; mend the file'):
        load_config(path)


def test_folder_and_file_of_another_kind_are_refused(tmp_path):
    with pytest.raises(UserError, match=r'expected a file, got a folder; name a \.py file'):
        load_config(tmp_path)
    (tmp_path / 'notes.txt').write_text('model = {}')
    with pytest.raises(UserError, match=r"notes\.txt: expected .* suffix '\.txt'; name a config"):
        load_config(tmp_path / 'notes.txt')


@pytest.mark.parametrize(
    'key',
    [
        'train_cfg.max_iters',
        'train_cfg.val_interval',
        'train_dataloader.batch_size',
        'optim_wrapper.accumulative_counts',
    ],
)
def test_a_count_of_nothing_is_refused(config, key):
    with pytest.raises(UserError, match=rf'{key}: expected 1 or more, got 0'):
        load_config(config, [f'{key}=0'])


@pytest.mark.parametrize('text', ["{'a': nan}", '[a,b]', '{1'])
def test_a_value_that_is_no_literal_is_refused(config, text):
    message = re.escape(f'got {text!r}')
    with pytest.raises(UserError, match=rf'--cfg-options optim_wrapper\.clip_grad: .*{message}'):
        load_config(config, [f'optim_wrapper.clip_grad={text}'])
