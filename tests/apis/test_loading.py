import pytest
import torch
from mmengine.config import Config

from seg.apis import list_models, load_model, model_entry
from seg.apis.loading import choose_device
from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_rapsam_cfg
from seg.testing.toy_training import ToyModel
from seg.utils.checkpoints import write_checkpoint, write_safetensors

CONFIG = """
from seg.testing.toy_training import ToyModel
model = dict(type=ToyModel, width={width})
"""
META = dict(classes=['line'], num_things=1)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(width=4))
    return path


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'weights.pth'
    state = dict(state_dict=ToyModel(width=4).state_dict(), meta=dict(dataset_meta=META))
    write_checkpoint(path, state)
    return path


def test_a_config_and_a_checkpoint_give_a_model(config, checkpoint):
    model = load_model(config, checkpoint, 'cpu')
    assert not model.training
    assert model.dataset_meta == dict(classes=('line',), num_things=1)
    assert model.entry is None
    saved = torch.load(checkpoint, weights_only=True)['state_dict']
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())


def test_half_precision_safetensors_carry_the_class_names(config, tmp_path):
    path = tmp_path / 'weights.safetensors'
    state = {key: value.half() for key, value in ToyModel(width=4).state_dict().items()}
    write_safetensors(path, state, dict(dataset_meta=META))
    model = load_model(str(config), path, 'cpu')
    assert model.dataset_meta['classes'] == ('line',)
    assert next(model.parameters()).dtype == torch.float32


def test_class_names_may_come_from_the_validation_data(config, tmp_path):
    path = tmp_path / 'weights.pth'
    write_checkpoint(path, {'state_dict': ToyModel(width=4).state_dict(), 'meta': None})
    with pytest.raises(ValueError, match='class names in the checkpoint'):
        load_model(config, path, 'cpu')
    with open(config, 'a') as file:
        file.write("val_dataloader = dict(dataset=dict(type='ToyDataset'))\n")
    assert load_model(config, path, 'cpu').dataset_meta['classes'] == ('line',)


def test_a_config_object_is_refused(config):
    with pytest.raises(TypeError, match=r'the path of a config, got Config; .*cfg\.dump'):
        load_model(Config.fromfile(config))


def test_the_embedded_model_is_listed():
    assert list_models() == ['rap_sam_nano_shapes']
    assert model_entry('rap_sam_nano_shapes').weights.endswith('.safetensors')


def test_an_unknown_model_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'rap_sam_nano_shapes'"):
        load_model('rap_sam_nano_shape')


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'config .*nothing\.py'):
        load_model(tmp_path / 'nothing.py', tmp_path / 'weights.pth')


def test_weights_are_never_random(config):
    with pytest.raises(ValueError, match='expected the weights to use with'):
        load_model(config)


def test_a_missing_checkpoint_is_named(config, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nothing\.pth'):
        load_model(config, tmp_path / 'nothing.pth')


def test_a_foreign_checkpoint_is_named(config, tmp_path):
    path = tmp_path / 'foreign.pth'
    write_checkpoint(path, dict(other=torch.zeros(3)))
    with pytest.raises(ValueError, match=r'foreign\.pth into ToyModel'):
        load_model(config, path, 'cpu')


def test_a_checkpoint_of_another_width_is_named(tmp_path, checkpoint):
    path = tmp_path / 'wide.py'
    path.write_text(CONFIG.format(width=8))
    with pytest.raises(ValueError, match='another shape'):
        load_model(path, checkpoint, 'cpu')


def test_a_checkpoint_of_other_class_counts_is_named(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(f'model = {tiny_rapsam_cfg()!r}')
    weights = tmp_path / 'weights.safetensors'
    state = MODELS.build(tiny_rapsam_cfg()).state_dict()
    write_safetensors(weights, state, dict(dataset_meta=dict(classes=list('abcde'), num_things=4)))
    with pytest.raises(ValueError, match=r'weights\.safetensors .*3 things and 2 stuff .*got 4 th'):
        load_model(path, weights, 'cpu')


def test_a_checkpoint_with_objects_is_refused(config, tmp_path):
    path = tmp_path / 'objects.pth'
    torch.save(dict(state_dict={}, extra=ToyModel()), path)
    with pytest.raises(ValueError, match='refused, because it holds pickled objects'):
        load_model(config, path, 'cpu')


@pytest.mark.parametrize('text', ['model = dict(', 'from nowhere import thing', 'other = 1'])
def test_a_broken_config_is_named(tmp_path, checkpoint, text):
    path = tmp_path / 'broken.py'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'broken\.py'):
        load_model(path, checkpoint)


@pytest.mark.parametrize('name', ['warp', 'meta'])
def test_an_unknown_device_is_named(name):
    with pytest.raises(ValueError, match=f"device '{name}': expected one that this machine has"):
        choose_device(name)


def test_one_of_several_processors_is_no_device():
    assert choose_device('cpu:0').type == 'cpu'
    with pytest.raises(ValueError, match=r"device 'cpu:3': expected cpu, .*, got number 3"):
        choose_device('cpu:3')


@pytest.mark.parametrize(('has_gpu', 'there'), [(True, 'cpu or cuda:0'), (False, 'no GPU')])
def test_devices_that_are_there_are_named(monkeypatch, has_gpu, there):
    monkeypatch.setattr('torch.cuda.is_available', lambda: has_gpu)
    with pytest.raises(ValueError, match=f'such as .*{there}; got: '):
        choose_device('warp')
