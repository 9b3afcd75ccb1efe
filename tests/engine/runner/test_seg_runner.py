import logging
import sys

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import CheckpointLoader
from torch import nn

from seg.engine.config_options import load_config
from seg.engine.launch import build_runner, set_auto_scale_lr, set_mixed_precision
from seg.engine.runner import MixedPrecisionOptimWrapper, SegRunner
from seg.engine.runner.activation_checkpointing import turn_on_activation_checkpointing
from seg.engine.runner.training_state import to_plain
from seg.testing.toy_training import ToyModel, write_toy_config
from seg.utils.checkpoints import read_checkpoint, write_checkpoint
from seg.utils.checks import UserError

# MMEngine's InfiniteSampler refuses an empty data set on its own.
SHUFFLED = 'train_dataloader.sampler={"type": "DefaultSampler"}'


@pytest.fixture
def make_runner(tmp_path):
    def make(*options, change=None):
        torch.set_num_threads(1)
        config = write_toy_config(tmp_path)
        cfg = load_config(config, ['visualizer=none', 'train_cfg.max_iters=6', *options])
        cfg['experiment_name'] = tmp_path.name
        if change is not None:
            change(cfg)
        return build_runner(cfg, config, tmp_path / 'run')

    return make


def test_mixed_precision_trains_on_the_cpu(make_runner):
    runner = make_runner(change=set_mixed_precision)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    seen = []
    runner.model.output.register_forward_hook(lambda m, i, o: seen.append((m.training, o.dtype)))
    runner.train()
    assert isinstance(runner.optim_wrapper, MixedPrecisionOptimWrapper)
    assert {dtype for training, dtype in seen if training} == {torch.bfloat16}
    assert {dtype for training, dtype in seen if not training} == {torch.float32}
    weights = runner.model.state_dict()
    assert not torch.equal(before['output.weight'], weights['output.weight'])
    assert weights['output.weight'].dtype == torch.float32


def test_mixed_precision_of_mmengine_is_accepted_without_a_gpu(make_runner):
    runner = make_runner('optim_wrapper.type=AmpOptimWrapper')
    runner.train()
    assert isinstance(runner.optim_wrapper, MixedPrecisionOptimWrapper)


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU float16 is fine')
def test_float16_without_a_gpu_is_refused():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    with pytest.raises(UserError, match="expected 'bfloat16' or 'auto' without a GPU"):
        MixedPrecisionOptimWrapper(optimizer, dtype='float16')
    with pytest.raises(UserError, match="Did you mean 'bfloat16'"):
        MixedPrecisionOptimWrapper(optimizer, dtype='bfloat')


def test_learning_rate_is_scaled_to_the_batch_size(make_runner):
    def change(cfg):
        cfg['auto_scale_lr'] = {'base_batch_size': 8}
        set_auto_scale_lr(cfg)
        cfg['param_scheduler'] = None

    runner = make_runner(change=change)
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'] == [0.005]


def test_learning_rate_counts_iterations_that_share_an_update(make_runner):
    def change(cfg):
        cfg['auto_scale_lr'] = {'base_batch_size': 8, 'enable': True}
        cfg['param_scheduler'] = None

    runner = make_runner('optim_wrapper.accumulative_counts=4', change=change)
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'] == [0.02]  # 4 samples x 4 iterations for 8


def test_float16_scales_the_loss_and_leaves_out_broken_steps(monkeypatch):
    """The arithmetic of float16, on a device that need not have it."""
    wrappers = 'seg.engine.runner.amp_optim_wrapper._choose_dtype'
    monkeypatch.setattr(wrappers, lambda *_: torch.float16)
    weight = nn.Parameter(torch.ones(1))
    wrapper = MixedPrecisionOptimWrapper(torch.optim.SGD([weight], lr=0.5), loss_scale=1024.0)
    wrapper.update_params((2 * weight).sum())
    assert weight.item() == 0.0  # the gradient was unscaled
    wrapper.update_params((weight * torch.inf).sum())
    assert weight.item() == 0.0
    state = wrapper.state_dict()
    assert state['loss_scaler']['scale'] == 512.0
    again = MixedPrecisionOptimWrapper(torch.optim.SGD([weight], lr=0.5))
    again.load_state_dict(state)
    assert again._scaler.get_scale() == 512.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_mixed_precision_trains_on_a_gpu(make_runner, dtype):
    runner = make_runner('optim_wrapper.type=AmpOptimWrapper', f'optim_wrapper.dtype={dtype}')
    runner.train()
    assert runner.optim_wrapper._scaler.is_enabled() == (dtype == 'float16')
    assert torch.isfinite(runner.model.output.weight).all()


def test_checkpoints_hold_nothing_that_needs_unpickling(make_runner, tmp_path):
    make_runner().train()
    for path in (tmp_path / 'run').glob('*.pth'):
        content = torch.load(path, weights_only=True)
        assert 'output.weight' in content['state_dict']
        assert content['meta']['dataset_meta']['classes'] == ('line',)


def test_best_weights_are_kept_beside_the_last_states(make_runner, tmp_path):
    options = ['train_cfg.max_iters=10', 'train_cfg.val_interval=2']
    make_runner(*options, 'default_hooks.checkpoint.interval=2').train()
    names = sorted(path.name for path in (tmp_path / 'run').glob('*.pth'))
    assert names == ['best.pth', 'iter_10.pth', 'iter_8.pth']
    assert (tmp_path / 'run' / 'last_checkpoint').read_text().strip().endswith('iter_10.pth')


def test_best_metric_must_exist(make_runner):
    runner = make_runner('default_hooks.checkpoint.save_best=toy/scor')
    with pytest.raises(UserError, match=r"unknown metric of checkpoint\.save_best.*'toy/score'"):
        runner.train()


def test_best_weights_with_a_moving_average_are_the_averaged_ones(make_runner, tmp_path):
    runner = make_runner('custom_hooks=[{"type": "EMAHook", "momentum": 0.1}]')
    runner.train()
    averaged = runner.hooks[[type(h).__name__ for h in runner.hooks].index('EMAHook')].ema_model
    saved = read_checkpoint(tmp_path / 'run' / 'iter_6.pth')['state_dict']
    best = read_checkpoint(tmp_path / 'run' / 'best.pth')['state_dict']
    expected = averaged.module.state_dict()['output.weight']
    assert torch.equal(saved['output.weight'], expected)
    assert torch.equal(best['output.weight'], expected)
    assert not torch.equal(runner.model.output.weight, expected)


def test_pickled_objects_are_refused_by_every_way_of_loading(tmp_path):
    path = str(tmp_path / 'objects.pth')
    torch.save({'state_dict': ToyModel().state_dict(), 'object': logging.Filter()}, path)
    for load in (CheckpointLoader.load_checkpoint, lambda p: PretrainedInit(p)(ToyModel())):
        with pytest.raises(UserError, match='refused, because it holds pickled objects'):
            load(path)
    with pytest.raises(UserError, match='got a storage service'):
        CheckpointLoader.load_checkpoint('s3://bucket/w.pth')
    with pytest.raises(UserError, match="unknown torchvision model 'resnet5'"):
        CheckpointLoader.load_checkpoint('torchvision://resnet5')


def test_weights_alone_cannot_be_resumed_from(make_runner, tmp_path):
    write_checkpoint(tmp_path / 'w.pth', ToyModel().state_dict())
    runner = make_runner('resume=true', f'load_from={tmp_path / "w.pth"}')
    with pytest.raises(UserError, match=r'expected a training state.*load_from=FILE'):
        runner.train()


def test_weights_of_another_width_are_refused(make_runner, tmp_path):
    write_checkpoint(tmp_path / 'w.pth', ToyModel(width=5).state_dict())
    runner = make_runner(f'load_from={tmp_path / "w.pth"}')
    with pytest.raises(UserError, match=r'cannot load .*w\.pth into ToyModel: .*of another shape'):
        runner.test()


def test_weights_to_start_from_may_fit_in_part_and_what_does_not_is_named(
    make_runner, tmp_path, capsys
):
    state = {f'hidden.{k}': v for k, v in ToyModel().hidden.state_dict().items()}
    write_checkpoint(tmp_path / 'part.pth', {**state, 'more.weight': torch.ones(1)})
    make_runner(f'load_from={tmp_path / "part.pth"}', 'train_cfg.max_iters=1').train()
    shown = capsys.readouterr().err
    (log,) = (tmp_path / 'run').glob('*/*.log')

    assert 'part.pth: 7 tensors fit; 2 missing (output.* (2)); 1 unexpected (more.weight)' in shown
    assert 'missing: output.weight, output.bias' in log.read_text()
    assert 'missing: output.weight, output.bias' not in shown


def test_weights_to_start_from_must_fit_for_the_most_part(make_runner, tmp_path):
    state = {'output.bias': torch.ones(1), 'trunk.weight': torch.ones(99)}
    write_checkpoint(tmp_path / 'other.pth', state)
    runner = make_runner(f'load_from={tmp_path / "other.pth"}')
    with pytest.raises(UserError, match=r'cannot load .*other\.pth into ToyModel: 1 tensors fit'):
        runner.train()


def test_a_run_of_another_architecture_cannot_be_resumed(make_runner, tmp_path):
    make_runner('model.width=5').train()
    runner = make_runner('resume=true', f'load_from={tmp_path / "run" / "iter_6.pth"}')
    with pytest.raises(UserError, match=r'cannot load .*iter_6\.pth into ToyModel') as caught:
        runner.train()
    assert runner.iter == 0
    assert '\n' not in str(caught.value)


def test_resuming_without_a_checkpoint_says_so(make_runner, capsys):
    make_runner('resume=true').train()
    assert 'found no checkpoint in' in capsys.readouterr().err


def test_resuming_what_has_ended_says_so(make_runner, capsys):
    make_runner().train()
    make_runner('resume=true').train()
    assert 'nothing is left to train' in capsys.readouterr().err


def test_log_goes_to_standard_error(make_runner, capsys):
    make_runner().train()
    captured = capsys.readouterr()
    assert captured.out == ''
    assert 'Iter(val)' in captured.err


def test_losses_and_learning_rate_reach_tensorboard(make_runner, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    make_runner(
        'visualizer={"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]}',
        'default_hooks.logger.interval=2',
    ).train()
    events = EventAccumulator(str(next((tmp_path / 'run').glob('*/vis_data'))))
    events.Reload()
    assert {'lr', 'loss_line', 'toy/score'} <= set(events.Tags()['scalars'])
    assert [event.step for event in events.Scalars('lr')] == [2, 4, 6]


def test_error_in_a_hook_keeps_its_traceback(make_runner):
    class Broken(Hook):
        def before_train(self, runner):
            int(None)

    runner = make_runner()
    runner.register_hook(Broken())
    with pytest.raises(TypeError) as caught:
        runner.train()
    assert any(entry.name == 'before_train' for entry in caught.traceback)


@pytest.fixture
def two_gpus(monkeypatch):
    """Make MMEngine wrap a model as on the first of two GPUs, without any."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(SegRunner, 'distributed', True)
    monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: 'cpu')
    monkeypatch.setattr(
        'mmengine.runner.runner.MMDistributedDataParallel', lambda module, **settings: module
    )
    monkeypatch.setenv('LOCAL_RANK', '0')


def norm_of(runner):
    return type(runner.wrap_model(None, ToyModel()).hidden[1])


def test_batch_norm_is_synchronised_on_several_gpus(make_runner, request):
    default = make_runner(change=lambda cfg: cfg.pop('sync_bn'))
    refused = make_runner('sync_bn=none')
    assert norm_of(default) is nn.BatchNorm1d  # one process
    request.getfixturevalue('two_gpus')
    assert norm_of(default) is nn.SyncBatchNorm
    assert norm_of(refused) is nn.BatchNorm1d


def test_recomputed_activations_give_the_same_gradients():
    torch.manual_seed(0)
    model, inputs = ToyModel(dropout=0.0).train(), [torch.ones(1), torch.zeros(1)]
    gradients = []
    for recompute in (False, True):
        if recompute:
            turn_on_activation_checkpointing(model, 'hidden')
        model.zero_grad()
        model(inputs, inputs, mode='loss')['loss_line'].backward()
        gradients.append(model.hidden[0].weight.grad.clone())
    assert torch.equal(*gradients)
    assert gradients[0].abs().sum() > 0
    with pytest.raises(UserError, match="Did you mean 'hidden'"):
        turn_on_activation_checkpointing(model, ['hiden'])


def test_plain_state_names_where_an_object_is():
    content = {'a': [np.float32(1.5), np.arange(2), {'b': {3, 1}}, (torch.float32,)]}
    plain = to_plain(content)['a']
    assert (plain[0], plain[1].tolist(), plain[2]['b'], plain[3]) == (
        *(1.5, [0, 1], [1, 3]),
        ('torch.float32',),
    )
    with pytest.raises(UserError, match=r"checkpoint\['x'\]\[0\]: .*got module"):
        to_plain({'x': [sys]})


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_data_without_samples_are_refused_before_the_first_step(make_runner, loader):
    option = f'{loader}.dataset.num_samples=0'
    with pytest.raises(UserError, match=rf'{loader}\.dataset: expected samples, got none'):
        make_runner(option, SHUFFLED).train()
