"""A published model comes back as it was, and a folder from elsewhere can do nothing but that."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch

from seg.apis import ImagePredictor, Inferencer, load_model
from seg.apis.model_card import CardFacts
from seg.apis.model_folder import publish_model
from seg.apis.model_hub import upload_model_folder
from seg.apis.model_zoo import DEFAULT_MODEL
from seg.datasets.shapes import ShapesWorld
from seg.utils.checks import UserError

FACTS = CardFacts(
    name='Nano',
    data='Shapes, drawn by the package.',
    licence='Apache-2.0',
    figures={'PQ': 66.8, 'AP': None},
    figures_of='200 images of seed 1',
)


@pytest.fixture(scope='module')
def model():
    return load_model(DEFAULT_MODEL, device='cpu')


@pytest.fixture(scope='module')
def published(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp('published') / 'nano'
    publish_model(model, folder, FACTS)
    return folder


@pytest.fixture
def changed(published, tmp_path):
    """Function that copies the folder with another config."""

    def change(edit):
        config = json.loads((published / 'config.json').read_text())
        edit(config)
        (tmp_path / 'config.json').write_text(json.dumps(config))
        (tmp_path / 'model.safetensors').symlink_to(published / 'model.safetensors')
        return tmp_path

    return change


def test_a_published_model_answers_as_the_original(model, published):
    image = ShapesWorld(seed=1).image(0).clip[0]
    loaded = load_model(published, device='cpu')
    assert loaded.dataset_meta == model.dataset_meta
    answers = []
    for one in (model, loaded):
        predictor = ImagePredictor(one)
        predictor.set_image(image)
        answers.append(predictor.predict(points=[[[80, 64]]]).low_res_logits)
    assert (answers[0] == answers[1]).all()
    first, second = (next(Inferencer(one)(image)).panoptic for one in (model, loaded))
    assert torch.equal(first.segment_map, second.segment_map)


def test_the_card_says_what_it_is(published, model):
    card = (published / 'README.md').read_text()
    assert card.startswith('---\nlicense: apache-2.0\n')
    assert f'{sum(p.numel() for p in model.parameters()):,}' in card
    assert '| PQ | 66.8 |' in card and '| AP | not measured |' in card
    assert '200 images of seed 1' in card and 'Shapes, drawn by the package.' in card
    assert 'disc' in card or model.dataset_meta['classes'][0] in card


def test_half_precision_halves_the_file(model, tmp_path, published):
    publish_model(load_model(published, device='cpu'), tmp_path / 'half', FACTS, half=True)
    whole, half = (f / 'model.safetensors' for f in (published, tmp_path / 'half'))
    assert half.stat().st_size < 0.6 * whole.stat().st_size


@pytest.mark.parametrize(
    'kind',
    [
        'os.system',
        'subprocess.Popen',
        'seg.utils.atomic_write.write_bytes_atomically',
        'torch.hub.load',
        'seg.apis.loading.load_model',
        7,
    ],
)
def test_a_type_that_is_no_part_of_a_network_is_refused(changed, kind):
    folder = changed(lambda config: config['model']['neck'].update(type=kind))
    with pytest.raises(UserError, match='refused, because its type'):
        load_model(folder, device='cpu')


def test_a_transform_that_is_none_is_refused(changed):
    def add(config):
        config['test_dataloader']['dataset']['pipeline'].append(dict(type='shutil.rmtree'))

    with pytest.raises(UserError, match=r"refused, because its type 'shutil\.rmtree'"):
        load_model(changed(add), device='cpu')


def test_a_misspelt_setting_is_named(changed):
    folder = changed(lambda config: config['model']['head'].update(num_querys=3))
    with pytest.raises(UserError, match="Did you mean 'num_queries'"):
        load_model(folder, device='cpu')


def test_weights_of_another_model_are_named(changed):
    folder = changed(lambda config: config['model']['head'].update(num_queries=7))
    with pytest.raises(UserError, match='cannot load'):
        load_model(folder, device='cpu')


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'found no config\.json'):
        load_model(tmp_path, device='cpu')
    (tmp_path / 'config.json').write_text('{')
    with pytest.raises(FileNotFoundError, match=r'found no model\.safetensors'):
        load_model(tmp_path, device='cpu')
    (tmp_path / 'model.safetensors').write_bytes(b'')
    with pytest.raises(UserError, match='expected JSON'):
        load_model(tmp_path, device='cpu')


def test_a_folder_takes_no_other_weights(published, tmp_path):
    with pytest.raises(UserError, match='has its own weights'):
        load_model(published, 'other.pth', 'cpu')
    with pytest.raises(FileNotFoundError, match=r'found no config\.json'):  # nor is it a config
        load_model(tmp_path, published / 'model.safetensors', 'cpu')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(name=' '), 'name: expected a text'),
        (dict(data=''), 'data: expected a text'),
        (dict(licence='free for all'), 'licence: expected an SPDX identifier'),
        (dict(figures={'PQ': 'high'}), 'figures: expected a number for PQ'),
        (dict(figures_of=''), 'figures_of: expected what the figures were measured on'),
    ],
)
def test_a_card_without_its_facts_is_refused(change, message):
    facts = dict(vars(FACTS))
    with pytest.raises(UserError, match=message):
        CardFacts(**{**facts, **change})


def test_a_file_in_the_way_is_named(model, tmp_path):
    (tmp_path / 'taken').write_text('x')
    with pytest.raises(UserError, match='expected a folder or nothing, got a file'):
        publish_model(model, tmp_path / 'taken', FACTS)


def test_a_hub_is_asked_only_by_its_name(monkeypatch, published):
    asked = []

    def fetch(repository, revision, allow_patterns):
        asked.append((repository, revision))
        return str(published)

    monkeypatch.setitem(sys.modules, 'huggingface_hub', SimpleNamespace(snapshot_download=fetch))
    load_model(published, device='cpu')
    assert asked == []
    load_model('hub:me/nano@v1', device='cpu')
    assert asked == [('me/nano', 'v1')]


def test_a_hub_gets_the_three_files(monkeypatch, published):
    sent = []
    fake = SimpleNamespace(
        create_repo=lambda name, exist_ok: sent.append(name),
        upload_folder=lambda **kwargs: sent.append(kwargs['allow_patterns']),
    )
    monkeypatch.setitem(sys.modules, 'huggingface_hub', fake)
    upload_model_folder(published, 'hub:me/nano')
    assert sent == ['me/nano', ['config.json', 'model.safetensors', 'README.md']]


def test_a_hub_that_cannot_be_asked_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(UserError, match=r"pip install 'rapsam\[hub\]'"):
        load_model('hub:me/nano', device='cpu')
    with pytest.raises(UserError, match='expected hub:OWNER/NAME'):
        load_model('hub:nano', device='cpu')

    def refuse(*args, **kwargs):
        raise OSError('no such repository\nand more')

    monkeypatch.setitem(sys.modules, 'huggingface_hub', SimpleNamespace(snapshot_download=refuse))
    with pytest.raises(UserError, match=r'got OSError: no such repository$'):
        load_model('hub:me/nano', device='cpu')
