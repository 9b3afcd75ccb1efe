import collections
import multiprocessing
import resource
import zipfile

import pytest
import torch
from torch import nn

from seg.models.classifiers import TextEmbeddingClassifier
from seg.utils.checkpoints import (
    KeyMap,
    load_weights,
    read_checkpoint,
    read_dataset_meta,
    read_metadata,
    read_weights,
    write_checkpoint,
    write_safetensors,
)
from seg.utils.checks import UserError

WEIGHTS = {'weight': torch.ones(3, 2), 'bias': torch.arange(3.0)}


@pytest.mark.parametrize(
    'content',
    [
        WEIGHTS,
        {'state_dict': WEIGHTS, 'meta': {'epoch': 1}},
        {'model': {f'module.{key}': value for key, value in WEIGHTS.items()}},
        {'model_state_dict': collections.OrderedDict(WEIGHTS)},
        {'epoch': torch.tensor(3), 'state_dict': WEIGHTS},
        {'state_dict': {}, 'model': {'step': torch.tensor(3), 'module': WEIGHTS}},
        {'model': {'width': 4}, **WEIGHTS},
    ],
    ids=[
        'bare',
        'state_dict',
        'module prefix',
        'model_state_dict',
        'beside a tensor',
        'twice',
        'beside settings',
    ],
)
def test_weights_are_found_in_whatever_wraps_them(tmp_path, content):
    path = tmp_path / 'w.pth'
    write_checkpoint(path, content)
    found = read_weights(path)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], value) for key, value in WEIGHTS.items())


def test_safetensors_keep_weights_and_metadata(tmp_path):
    path = tmp_path / 'w.safetensors'
    shared = torch.ones(4)
    write_safetensors(path, {'a': shared, 'b': shared}, {'scores': {'PQ': 0.5}, 'name': 'nano'})
    assert torch.equal(read_weights(path)['b'], shared)
    assert read_metadata(path) == {'scores': '{"PQ": 0.5}', 'name': 'nano'}


@pytest.mark.parametrize('meta', [None, 'text', [1], {}, {'dataset_meta': None}, {'CLASSES': 1}])
def test_meta_of_another_kind_says_nothing_about_classes(tmp_path, meta):
    assert read_dataset_meta(tmp_path / 'w.pth', {'meta': meta}) is None


def test_classes_are_read_from_meta_and_from_the_header(tmp_path):
    meta = {'classes': ['disc'], 'num_things': 1}
    assert read_dataset_meta('w.pth', {'meta': {'dataset_meta': meta}}) == meta
    path = tmp_path / 'w.safetensors'
    write_safetensors(path, WEIGHTS, {'dataset_meta': meta})
    assert read_dataset_meta(path, WEIGHTS) == meta
    write_safetensors(path, WEIGHTS)
    assert read_dataset_meta(path, WEIGHTS) is None
    write_safetensors(path, WEIGHTS, {'dataset_meta': 'disc'})
    with pytest.raises(UserError, match=r"w\.safetensors: expected class names as JSON.*'disc'"):
        read_dataset_meta(path, WEIGHTS)


class Harmful:
    def __reduce__(self):
        return (exec, ('raise SystemExit("unpickled")',))


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_file_with_pickled_objects_is_refused_by_name(tmp_path, zipped):
    path = tmp_path / 'harmful.pth'
    content = {'state_dict': WEIGHTS, 'hub': Harmful()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r'harmful\.pth: refused.*exec.*convert it once'):
        read_weights(path)


def test_checkpoint_of_mmengine_is_refused_and_its_object_named(tmp_path):
    from mmengine.logging import HistoryBuffer

    torch.save({'state_dict': WEIGHTS, 'hub': HistoryBuffer([1.0], [1])}, tmp_path / 'm.pth')
    with pytest.raises(UserError, match='HistoryBuffer'):
        read_checkpoint(tmp_path / 'm.pth')


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('empty.pth', b'', 'empty file'),
        ('photo.pth', b'\x89PNG\r\n' + bytes(99), 'a file of another kind'),
        ('page.pth', b'<!DOCTYPE html><html>', 'a web page'),
        ('pointer.pth', b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS pointer'),
        ('noise.pth', b'\x80\x02' + bytes(range(200)), 'truncated or damaged'),
        ('short.safetensors', b'\x10\x00\x00', 'not a readable safetensors'),
    ],
)
def test_foreign_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_weights(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_truncated_file_is_named(tmp_path, suffix):
    whole, cut = tmp_path / f'whole{suffix}', tmp_path / f'cut{suffix}'
    write_checkpoint(whole, WEIGHTS) if suffix == '.pth' else write_safetensors(whole, WEIGHTS)
    content = whole.read_bytes()
    for size in (len(content) - 40, len(content) // 2, 100):
        cut.write_bytes(content[:size])
        with pytest.raises(UserError, match=rf'cut\{suffix}.*truncated'):
            read_weights(cut)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.pth: expected a file, found nothing'):
        read_weights(tmp_path / 'gone.pth')


def test_file_without_weights_shows_its_keys(tmp_path):
    write_checkpoint(tmp_path / 'm.pth', {'epoch': 3, 'lr': 0.1})
    with pytest.raises(UserError, match=r'expected weights.*got the keys epoch, lr'):
        read_weights(tmp_path / 'm.pth')


def test_objects_are_refused_when_writing(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint\['hooks'\]\[0\].*Harmful"):
        write_checkpoint(tmp_path / 'w.pth', {'hooks': [Harmful()]})
    assert not list(tmp_path.iterdir())


def test_loading_reports_what_does_not_fit():
    state = {'weight': torch.ones(3, 5), 'other': torch.ones(1), 'bias': torch.ones(3)}
    model = nn.Linear(2, 3)
    with pytest.raises(UserError, match=r'1 unexpected .other.; 1 of another shape .weight'):
        load_weights(model, state)
    report = load_weights(model, state, strict=False)
    assert (report.num_loaded, report.unexpected, report.missing) == (1, ['other'], [])
    assert report.mismatched == {'weight': ((3, 2), (3, 5))}
    assert torch.equal(model.bias, torch.ones(3))


def test_a_refused_checkpoint_leaves_the_model_as_it_was():
    model = nn.Sequential(TextEmbeddingClassifier(4, 6), nn.Linear(6, 2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {key: torch.ones_like(value) for key, value in before.items()}
    state |= {'0.prototypes': torch.ones(4, 3, 6), '1.weight': torch.ones(5, 6)}
    with pytest.raises(UserError, match=r'1 of another shape .1\.weight'):
        load_weights(model, state)
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_weights_of_a_training_that_diverged_are_refused():
    model = nn.Linear(2, 3)
    before = model.weight.detach().clone()
    broken = {**WEIGHTS, 'bias': torch.tensor([0.0, float('nan'), 1.0])}

    with pytest.raises(UserError, match=r'w\.pth: expected numbers, got NaN in 1 of 2 .*\(bias\)'):
        load_weights(model, broken, name='w.pth')
    assert torch.equal(model.weight, before)


def test_names_may_be_allowed_to_be_missing():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {k: v for k, v in model.state_dict().items() if not k.startswith('1.running')}
    del state['1.num_batches_tracked']
    with pytest.raises(UserError, match='2 missing'):
        load_weights(model, state)
    assert load_weights(model, state, allowed_missing=[r'running_']).complete


def test_weights_of_another_model_are_refused_even_if_not_strict():
    with pytest.raises(UserError, match='cannot load a file into Linear: 0 tensors fit'):
        load_weights(nn.Linear(2, 3), {'a': torch.ones(1)}, strict=False, name='a file')


def test_a_file_of_which_nearly_nothing_fits_is_refused_even_if_not_strict():
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 2))
    state = {'0.bias': torch.ones(10), '1.weight': torch.ones(3, 10), 'far.weight': torch.ones(200)}
    with pytest.raises(
        UserError, match=r'1 tensors fit; 2 missing \(0\.weight, 1\.bias\); 1 unexp'
    ):
        load_weights(model, state, strict=False)
    state = {'0.bias': torch.ones(10)}  # of such a small file, everything
    assert load_weights(model, state, strict=False).share == 1.0


def test_parts_that_do_not_fit_at_all_are_named_as_one():
    model = nn.Module()
    model.body, model.head = nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 1))
    state = {f'{name}.{i}': torch.ones(1) for name in ('neck.a', 'neck.b') for i in (1, 2)}
    state |= {'body.weight': torch.ones(3, 3), 'body.other': torch.ones(1)}
    report = load_weights(model, state, strict=False)

    assert report.summary() == (
        '1 tensors fit; 5 missing (body.bias, head.* (4)); 5 unexpected (neck.* (4), body.other)'
    )
    assert 'missing: body.bias, head.0.weight, head.0.bias' in report.names_in_full()


def test_key_map_renames_in_order_and_drops():
    names = KeyMap(
        [(r'^backbone\.', 'trunk.'), (r'^trunk\.conv(\d)', r'trunk.layers.\1')], [r'^ema']
    )
    state = {'backbone.conv1.weight': 1, 'head.bias': 2, 'ema.x': 3}
    assert names.apply(state) == {'trunk.layers.1.weight': 1, 'head.bias': 2}
    assert names.unmatched(state) == ['head.bias']


def test_key_map_refuses_to_lose_a_key():
    with pytest.raises(UserError, match=r'1 clashes such as a\.w and b\.w -> w'):
        KeyMap([(r'^[ab]\.', '')]).apply({'a.w': 1, 'b.w': 2})


def write_with_little_space(path, messages):
    """Write 400 kB where the system allows 20 kB per file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        write_checkpoint(path, {'a': torch.zeros(100_000)})
    except OSError as error:
        messages.put(str(error))


def test_full_disk_keeps_the_previous_checkpoint(tmp_path):
    path = tmp_path / 'w.pth'
    write_checkpoint(path, WEIGHTS)
    before = path.read_bytes()
    processes = multiprocessing.get_context('fork')
    messages = processes.SimpleQueue()
    process = processes.Process(target=write_with_little_space, args=(path, messages))
    process.start()
    process.join(60)
    message = messages.get()
    assert f'cannot write {path}' in message
    assert 'about 400,000 bytes are needed' in message
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_of_a_checkpoint_is_refused_with_the_way_out(tmp_path):
    torch.save({'a': torch.zeros(2)}, tmp_path / 'weights.pt')
    with zipfile.ZipFile(tmp_path / 'weights.pt.zip', 'w') as archive:
        archive.write(tmp_path / 'weights.pt', 'weights.pt')
    with pytest.raises(UserError, match=r'a zip archive of weights\.pt; unpack it.*unzip .*zip'):
        read_checkpoint(tmp_path / 'weights.pt.zip')
    assert read_checkpoint(tmp_path / 'weights.pt')['a'].tolist() == [0, 0]
