"""Sessions and the page with a real SAM 3: words and example boxes find, clicks are refused."""

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from seg.apis import load_model
from seg.apis.annotation import AnnotationModel, AnnotationSession
from seg.testing.concept_samples import write_untrained_sam3
from seg.testing.fake_annotation import fake_video
from seg.utils.checks import UserError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
CLIP = fake_video(2, (60, 90))


@pytest.fixture(scope='module')
def model(repository, tmp_path_factory):
    """An untrained one that is sure of everything."""
    config = repository / 'configs/sam3/sam3_tiny_shapes.py'
    config, weights = write_untrained_sam3(config, tmp_path_factory.mktemp('sam3'))
    return AnnotationModel(load_model(config, weights, 'cpu'), 'sam3')


def test_sessions_find_and_refuse(model):
    session = AnnotationSession(model)
    item = session.open(CLIP, 'clip')
    assert model.finds and not model.follows and not model.names_everything
    assert len(item.find(text='red', frame=1)) > 0
    assert {one.label for one in item.objects} == {'red'}
    assert all(list(one.masks) == [1] for one in item.objects)
    item.undo()
    assert item.objects == []
    assert len(item.find(box=[10, 10, 50, 40])) > 0
    one = item.add_object('mine')
    item.set_box(one, [10, 10, 50, 40])
    assert item.mask(one).shape == (60, 90)
    with pytest.raises(UserError, match='expected boxes, texts'):
        item.add_click(one, 20, 20)
    with pytest.raises(UserError, match='tokens'):
        item.find(text='a ' * 90 + 'b')
    with pytest.raises(UserError, match='model with a memory'):
        session.propagate('i1', 0)


def test_the_page_finds_by_words_and_by_an_example(model, tmp_path):
    pytest.importorskip('starlette', reason="the extra webui: pip install 'rapsam[webui]'")
    from starlette.testclient import TestClient

    from seg.webui.app import make_app
    from seg.webui.settings import Settings

    app = make_app(Settings(tmp_path, {'sam3': lambda: model}))
    client = TestClient(app, base_url='http://127.0.0.1:8765', headers={'x-rapsam': '1'})
    file = io.BytesIO()
    Image.fromarray(CLIP[0]).save(file, 'PNG')
    client.post('/api/upload?name=photo.png', content=file.getvalue())
    session = client.get('/api/state').json()['session']
    assert (session['finds'], session['follows'], session['kinds']) == (
        True,
        False,
        ['box', 'text'],
    )

    def edit(**content):
        return client.post('/api/items/i1/edit', json={'frame': 0, **content})

    found = edit(action='find', text='red').json()['item']['objects']
    assert {one['label'] for one in found} == {'red'}
    assert 'found none' in edit(action='find', text='red').json()['error']
    more = edit(action='find', box=[10, 10, 50, 40]).json()['item']['objects']
    assert len(more) > len(found)
    assert edit(action='click', x=5, y=5).status_code == 400
    assert np.all([one['masks'] == 1 for one in more])
