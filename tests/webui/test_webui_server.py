"""The server of the page: what it answers, and everything that it must refuse."""

import io
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.testing.fake_annotation import FakeAnnotationModel, fake_video
from seg.utils.checks import UserError

pytest.importorskip('starlette', reason="the extra webui: pip install 'rapsam[webui]'")
from starlette.testclient import TestClient

from seg.webui.access import TokenGuard
from seg.webui.app import make_app
from seg.webui.replies import without_paths
from seg.webui.settings import Limits, Settings

OWN = {'x-rapsam': '1'}
LIMITS = dict(
    upload_bytes=200_000, session_bytes=400_000, pixels=4000, frames=8, json_bytes=4000,
    annotation_bytes=150_000, archive_bytes=300_000, open_sessions=2, kept_sessions=5,
)  # fmt: skip


def settings(folder, **changes):
    given = dict(
        work_dir=folder / 'work',
        models={'fake': FakeAnnotationModel, 'other': lambda: FakeAnnotationModel('other')},
        limits=Limits(**LIMITS),
    )
    return Settings(**{**given, **changes})


def client_of(app, **headers):
    return TestClient(
        app,
        base_url='http://127.0.0.1:8765',
        headers={**OWN, **headers},
        raise_server_exceptions=False,
    )


@pytest.fixture
def app(tmp_path):
    return make_app(settings(tmp_path))


@pytest.fixture
def client(app):
    return client_of(app)


def picture(size=(40, 60), kind='PNG'):
    file = io.BytesIO()
    Image.fromarray(fake_video(1, size)[0]).save(file, kind)
    return file.getvalue()


def video(folder, num_frames=6, size=(40, 60)):
    from seg.visualization.video_writer import VideoWriter

    with VideoWriter(folder / 'clip.mp4', frames_per_second=10) as writer:
        for frame in fake_video(num_frames, size):
            writer.write(frame)
    return (folder / 'clip.mp4').read_bytes()


def upload(client, content, name='photo.png'):
    return client.post('/api/upload', params={'name': name}, content=content)


def edit(client, **content):
    return client.post('/api/items/i1/edit', json={'frame': 0, **content})


def wait_for_job(client):
    for _ in range(200):
        job = client.get('/api/job').json()
        if not job['running']:
            return job
        time.sleep(0.02)
    raise AssertionError('the job does not end')


def test_the_page_names_nothing_of_other_sites(client):
    page = client.get('/')
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers['content-security-policy']
    names = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    for name in names:
        assert name == 'data:,' or client.get(name).status_code == 200
    texts = [page.text, *(client.get(name).text for name in names if name.startswith('/'))]
    assert not any(re.search(r'https?://|//[a-z]+\.', text) for text in texts)


def test_an_image_is_uploaded_clicked_and_exported(client):
    item = upload(client, picture()).json()
    assert (item['width'], item['height'], item['frames'], item['name']) == (60, 40, 1, 'photo')
    answer = edit(client, action='click', x=15, y=20, label='star').json()
    assert [one['label'] for one in answer['item']['objects']] == ['star']
    assert answer['frame']['objects']['1']['counts']
    assert answer['frame']['objects']['1']['prompts']['clicks'] == [[15, 20, 1]]
    answer = edit(client, action='click', object=1, x=16, y=20, positive=False).json()
    assert len(answer['frame']['objects']['1']['prompts']['clicks']) == 2
    image = client.get('/api/items/i1/image/0')
    assert image.headers['content-type'] == 'image/jpeg'
    archive = zipfile.ZipFile(io.BytesIO(client.get('/api/export?format=coco').content))
    assert 'coco/instances.json' in archive.namelist()
    again = client.post('/api/import?format=coco', content=archive.read('coco/instances.json'))
    assert again.json() == {'added': {'i1': 1}}


def test_a_new_object_and_its_first_click_are_one_step(client):
    upload(client, picture())
    edit(client, action='click', x=15, y=20)
    assert edit(client, action='undo').json()['item']['objects'] == []
    refused = edit(client, action='click', x=1500, y=20)
    assert refused.status_code == 400
    item = client.get('/api/items/i1').json()
    assert (item['objects'], item['undo'], item['redo']) == ([], False, True)


def test_a_video_is_followed_corrected_and_followed_again(client, tmp_path):
    item = upload(client, video(tmp_path), 'clip.mp4').json()
    assert item['frames'] == 6
    edit(client, action='click', x=15, y=20, frame=1)
    started = client.post('/api/items/i1/follow', json={'frame': 1}).json()
    assert started['total'] == 5
    assert wait_for_job(client)['done'] == 5
    edit(client, action='click', object=1, x=30, y=20, frame=3)
    item = client.get('/api/items/i1').json()
    assert (item['prompted'], item['corrected'], item['to_redo']) == ([1], [3], 2)
    client.post('/api/items/i1/follow', json={'changed': True})
    assert wait_for_job(client)['error'] is None
    assert client.get('/api/items/i1').json()['to_redo'] == 0


def test_following_can_be_stopped(app, client, tmp_path, monkeypatch):
    from seg.testing.fake_annotation import FakeFollower

    step = FakeFollower.step

    def slow(self, image, given):
        time.sleep(0.05)
        return step(self, image, given)

    monkeypatch.setattr(FakeFollower, 'step', slow)
    upload(client, video(tmp_path), 'clip.mp4')
    edit(client, action='click', x=15, y=20)
    client.post('/api/items/i1/follow', json={'frame': 0})
    assert edit(client, action='click', object=1, x=5, y=5).status_code == 400
    assert client.post('/api/items/i1/follow', json={'frame': 0}).status_code == 409
    stopped = client.post('/api/job/stop').json()
    assert not stopped['running']
    assert stopped['done'] < 6
    assert edit(client, action='click', object=1, x=5, y=5).status_code == 200


def test_sessions_do_not_see_each_other(app):
    first, second = client_of(app), client_of(app)
    upload(first, picture())
    upload(second, picture((30, 20)))
    edit(first, action='click', x=15, y=20)
    assert second.get('/api/items/i1').json()['width'] == 20
    assert second.get('/api/items/i1').json()['objects'] == []
    stranger = client_of(app)
    assert stranger.get('/api/state').json()['session'] is None
    assert stranger.get('/api/items/i1').status_code == 404


@pytest.mark.parametrize('cookie', ['../../work', 'x' * 24, '', '%2e%2e', 'a/b', '\\..'])
def test_made_up_session_ids_find_nothing(app, cookie):
    client = client_of(app, cookie=f'rapsam_session={cookie}')
    assert client.get('/api/items/i1').status_code == 404
    assert client.delete('/api/session').status_code == 404


def test_idle_sessions_leave_the_memory_and_keep_their_work(app):
    clients = [client_of(app) for _ in range(4)]
    for number, client in enumerate(clients):
        upload(client, picture())
        edit(client, action='click', x=10 + number, y=20)
    for number, client in enumerate(clients):
        frame = client.get('/api/items/i1/frame/0').json()
        assert frame['objects']['1']['prompts']['clicks'] == [[10 + number, 20, 1]]


def test_the_store_holds_few_sessions_and_drops_idle_ones(tmp_path):
    from seg.webui.store import SessionStore

    store = SessionStore(settings(tmp_path))
    ids = [store.create() for _ in range(4)]
    assert store.num_open <= 3
    for session_id in ids:
        with store.use(session_id) as held:
            held.session.open(fake_video(1)[0])
    store.drop_idle()
    assert store.num_open == 2
    quick = SessionStore(settings(tmp_path, limits=Limits(**{**LIMITS, 'idle_seconds': 0.0})))
    with quick.use(ids[0]) as held:
        assert list(held.session.entries) == ['i1']
        quick.drop_idle()
        assert quick.num_open == 1  # it is being used
    time.sleep(0.01)
    quick.drop_idle()
    assert quick.num_open == 0


def test_too_many_sessions_are_refused(app):
    replies = [upload(client_of(app), picture()) for _ in range(6)]
    assert [reply.status_code for reply in replies] == [200] * 5 + [503]


def test_a_session_is_deleted_with_its_files(client, tmp_path):
    upload(client, picture())
    assert len(list((tmp_path / 'work/sessions').iterdir())) == 1
    assert client.delete('/api/session').status_code == 200
    assert list((tmp_path / 'work/sessions').iterdir()) == []


def bomb():
    """A small PNG file that says it has 60000 x 60000 pixels."""
    content = bytearray(picture())
    content[16:24] = (60000).to_bytes(4, 'big') * 2
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, 'big')
    return bytes(content)


@pytest.mark.parametrize(
    ('content', 'status'),
    [
        (b'', 400),
        (b'not a picture', 400),
        (b'#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n', 400),
        (b'ffconcat version 1.0\nfile /etc/passwd\n', 400),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 400),
        (b'\x89PNG\r\n\x1a\n' + b'\0' * 50, 400),
        (b'\0\0\0\x18ftypmp42' + b'\0' * 50, 400),
        (b'GIF89a' + b'\xff' * 40, 400),
        (bomb(), 400),
        (picture((100, 60)), 400),
        (picture()[:200], 400),
        (b'\x89PNG' + b'\0' * 300_000, 413),
    ],
)
def test_uploads_that_are_refused(client, tmp_path, content, status):
    reply = upload(client, content)
    assert reply.status_code == status
    assert str(tmp_path) not in reply.text
    assert 'Traceback' not in reply.text
    assert [path for path in (tmp_path / 'work').rglob('*') if path.is_file()] == []


def test_long_and_large_videos_are_refused_before_they_are_decoded(client, tmp_path, monkeypatch):
    def decode(*_):
        raise AssertionError('decoded')

    monkeypatch.setattr('seg.apis.video_sources.VideoFile._decode', decode)
    reply = upload(client, video(tmp_path, num_frames=9), 'long.mp4')
    assert (reply.status_code, 'at most 8 frames' in reply.text) == (400, True)
    reply = upload(client, video(tmp_path, num_frames=2, size=(80, 80)), 'large.mp4')
    assert (reply.status_code, 'pixels a frame' in reply.text) == (400, True)


def test_a_session_has_a_bound_of_bytes(tmp_path):
    app = make_app(settings(tmp_path, limits=Limits(**{**LIMITS, 'session_bytes': 10_000})))
    client = client_of(app)
    codes = [upload(client, picture()).status_code for _ in range(3)]
    assert codes == [200, 413, 413]


@pytest.mark.parametrize(
    'name', ['../../../etc/passwd', '/etc/x', 'a\0b.png', '..', 'C:\\x.png', 'ü.png']
)
def test_names_never_become_paths(client, tmp_path, name):
    item = upload(client, picture(), name).json()
    assert '/' not in item['name'] and '\\' not in item['name'] and '\0' not in item['name']
    files = list(tmp_path.rglob('*.png'))
    assert len(files) == 1
    assert files[0].parent.name == 'media'
    assert re.fullmatch(r'[0-9a-f]{12}\.png', files[0].name)


def test_errors_call_an_upload_by_its_name(client):
    reply = upload(client, picture()[:200], 'holiday.png')
    assert reply.status_code == 400
    assert re.search(r'\bholiday: expected a readable image', reply.json()['error'])


@pytest.fixture
def with_folder(tmp_path):
    root = tmp_path / 'pictures'
    (root / 'shots').mkdir(parents=True)
    for path in (
        root / 'a.png',
        root / 'shots/1.png',
        root / 'shots/2.png',
        tmp_path / 'secret.png',
    ):
        path.write_bytes(picture())
    (root / 'link.png').symlink_to(tmp_path / 'secret.png')
    return client_of(make_app(settings(tmp_path, roots={'pictures': root})))


def test_files_of_named_folders_open(with_folder):
    client = with_folder
    folder = client.get('/api/state').json()['folders'][0]
    kinds = {entry['name']: entry['kind'] for entry in folder['files']}
    assert kinds == {'a.png': 'image', 'link.png': 'image', 'shots': 'folder'}
    asked = dict(folder='pictures')
    assert client.post('/api/open', json={**asked, 'name': 'a.png'}).json()['name'] == 'a'
    assert client.post('/api/open', json={**asked, 'name': 'shots'}).json()['name'] == '1'
    clip = client.post('/api/open', json={**asked, 'name': 'shots', 'as_video': True}).json()
    assert clip['frames'] == 2


@pytest.mark.parametrize(
    ('folder', 'name'),
    [
        ('pictures', '../secret.png'),
        ('pictures', 'shots/1.png'),
        ('pictures', 'link.png'),
        ('pictures', '/etc/passwd'),
        ('pictures', ''),
        ('other', 'a.png'),
        ('..', 'secret.png'),
    ],
)
def test_other_files_do_not_open(with_folder, tmp_path, folder, name):
    reply = with_folder.post('/api/open', json={'folder': folder, 'name': name})
    assert reply.status_code == 400
    assert str(tmp_path) not in reply.text


@pytest.mark.parametrize(
    'path', ['/static/../app.py', '/static/%2e%2e/app.py', '/static/index.html', '/static/', '/x']
)
def test_other_addresses_hold_nothing(client, path):
    assert client.get(path).status_code == 404


NONSENSE = [
    b'', b'{', b'[]', b'null', b'3', b'"x"', b'\xff\xfe', b'{"action": 3}', b'{"action": "click"}',
    b'{"action": "__class__"}', b'{"action": "click", "x": "a", "y": 1}', b'[' * 3000,
    b'{"action": "click", "x": 1e999, "y": 1}', b'{"action": "click", "x": NaN, "y": 1}',
    b'{"action": "click", "x": true, "y": 1}', b'{"action": "click", "x": 1, "y": 1, "frame": 1.5}',
    b'{"action": "click", "x": 1, "y": 1, "frame": 99999999999999999999}',
    b'{"action": "click", "x": 1, "y": 1, "frame": -1}', b'{"action": "delete", "object": 7}',
    b'{"action": "click", "x": 1, "y": 1, "object": [1]}', b'{"action": "box", "box": [1, 2]}',
    b'{"action": "box", "box": [5, 5, 1, 1]}', b'{"action": "box", "box": "all"}',
    b'{"action": "relabel", "object": 1, "label": ""}', b'{"action": "text", "text": "\\u0000"}',
    b'{"action": "add_object", "label": {"a": 1}}', b'{"action": "undo", "frame": {}}',
    b'{"action": "move_click", "object": 1, "index": 9, "x": 1, "y": 1}',
]  # fmt: skip


@pytest.mark.parametrize('body', NONSENSE)
def test_nonsense_gets_an_error_and_changes_nothing(client, tmp_path, body):
    upload(client, picture())
    edit(client, action='click', x=15, y=20)
    before = client.get('/api/items/i1').json()
    reply = client.post('/api/items/i1/edit', content=body)
    assert reply.status_code == 400
    assert set(reply.json()) == {'error'}
    assert str(tmp_path) not in reply.text and 'Traceback' not in reply.text
    assert client.get('/api/items/i1').json() == before


def test_large_bodies_are_refused(client):
    upload(client, picture())
    reply = client.post('/api/items/i1/edit', content=b'{"action": "' + b'x' * 5000 + b'"}')
    assert reply.status_code == 413


@pytest.mark.parametrize(
    'request_',
    [
        ('GET', '/api/items/i9'),
        ('GET', '/api/items/..%2f..'),
        ('GET', '/api/items/i1/image/7'),
        ('GET', '/api/items/i1/image/-1'),
        ('GET', '/api/items/i1/frame/x'),
        ('POST', '/api/items/i1/follow'),
        ('POST', '/api/model'),
        ('POST', '/api/job/stop'),
        ('GET', '/api/export?format=../../etc'),
        ('GET', '/api/export'),
        ('POST', '/api/import?format=coco'),
        ('POST', '/api/import?format=x'),
        ('PUT', '/api/upload'),
    ],
)
def test_other_wrong_requests_get_short_errors(client, tmp_path, request_):
    upload(client, picture())
    reply = client.request(
        *request_, content=b'{"name": "/etc/passwd"}' if request_[0] == 'POST' else None
    )
    assert 400 <= reply.status_code < 500
    assert set(reply.json()) == {'error'}
    assert str(tmp_path) not in reply.text


def archive_of(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    'content',
    [
        archive_of(**{'../../outside.json': b'{}'}),
        archive_of(**{'/tmp/outside.json': b'{}'}),
        archive_of(**{'a\\..\\..\\outside.json': b'{}'}),
        archive_of(**{'large.json': b'0' * 400_000}),
        archive_of(**{'instances.json': b'0' * 200_000}),
        b'0' * 200_000,
        archive_of(**{f'{i}': b'' for i in range(5001)}),
        archive_of(**{'instances.json': b'{}'})[:-10],
        b'PK\x03\x04',
        b'[' * 100_000,
    ],
)
def test_archives_that_are_refused(client, tmp_path, content):
    upload(client, picture())
    reply = client.post('/api/import?format=coco', content=content)
    assert reply.status_code in (400, 413)
    assert list(tmp_path.parent.rglob('outside.json')) == []
    assert list((tmp_path / 'work/scratch').iterdir()) == []


def test_a_failure_that_nobody_foresaw_shows_no_trace(client, monkeypatch):
    upload(client, picture())
    monkeypatch.setattr('seg.webui.app.describe_item', lambda *_: 1 / 0)
    reply = client.get('/api/items/i1')
    assert reply.status_code == 500
    assert 'ZeroDivision' not in reply.text and 'Traceback' not in reply.text


def test_messages_lose_their_folders():
    text = "/home/me/work/a.png: expected one of '/srv/x/y.json', C:\\me\\b.txt, 3/4, a/b"
    assert without_paths(text) == "a.png: expected one of 'y.json', b.txt, 3/4, a/b"


def test_requests_of_other_sites_are_refused(app):
    plain = TestClient(app, base_url='http://127.0.0.1:8765')
    for method, path in (('POST', '/api/upload'), ('POST', '/login'), ('DELETE', '/api/session')):
        assert plain.request(method, path).status_code == 403
    for host in ('evil.example', '127.0.0.1.evil.example', '10.0.0.1', ''):
        assert client_of(app, host=host).get('/').status_code == 403
    for host in ('localhost:8765', '[::1]:8765', '127.0.0.1'):
        assert client_of(app, host=host).get('/').status_code == 200


def test_another_address_needs_a_token(tmp_path):
    for host in ('0.0.0.0', '192.168.1.5', '::', 'example.org'):
        with pytest.raises(UserError, match='token'):
            settings(tmp_path, host=host)
    with pytest.raises(UserError, match='at least 8'):
        settings(tmp_path, host='0.0.0.0', token='short')


def test_without_the_token_nothing_answers(tmp_path, monkeypatch):
    monkeypatch.setattr('seg.webui.access._FIRST_WAIT', 0.0)
    app = make_app(settings(tmp_path, host='0.0.0.0', token='correct horse'))
    client = client_of(app)
    assert 'type="password"' in client.get('/').text
    for path in ('/api/state', '/api/items/i1', '/static/annotate.js', '/api/export?format=coco'):
        assert client.get(path).status_code == 401
    assert upload(client, picture()).status_code == 401
    for token in ('wrong', '', None, 3, ['correct horse']):
        assert client.post('/login', json={'token': token}).status_code == 401
    assert client.post('/login', json={'token': 'correct horse'}).status_code == 200
    assert 'id="canvas"' in client.get('/').text
    assert upload(client, picture()).status_code == 200
    forged = client_of(app, cookie='rapsam_access=correct horse')
    assert forged.get('/api/state').status_code == 401


def test_guessing_tokens_gets_slower():
    now = [0.0]
    guard = TokenGuard('correct horse', clock=lambda: now[0])
    assert guard.trade('guess') is None
    assert guard.trade('correct horse') is None  # too soon
    now[0] += 0.6
    assert guard.trade('guess') is None
    now[0] += 0.6
    assert guard.trade('correct horse') is None
    now[0] += 0.6
    cookie = guard.trade('correct horse')
    assert guard.is_known(cookie)
    assert not guard.is_known('correct horse')


def test_the_model_is_chosen_and_remembered(tmp_path):
    app = make_app(settings(tmp_path))
    client = client_of(app)
    upload(client, picture())
    assert client.post('/api/model', json={'name': 'other'}).json()['model'] == 'other'
    again = client_of(make_app(settings(tmp_path)))
    again.cookies = client.cookies
    assert again.get('/api/state').json()['session']['model'] == 'other'


def test_pictures_keep_their_pixels(client):
    smooth = np.linspace(0, 255, 60).astype(np.uint8)[None, :, None].repeat(40, 0).repeat(3, 2)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, 'PNG')
    upload(client, file.getvalue())
    shown = np.asarray(Image.open(io.BytesIO(client.get('/api/items/i1/image/0').content)))
    assert shown.shape == (40, 60, 3)
    assert np.abs(shown.astype(int) - smooth).max() < 8


def test_videos_with_titles_that_are_not_utf8_open(client, tmp_path):
    import av

    with av.open(str(tmp_path / 'a.mp4'), 'w') as container:
        container.metadata['title'] = 'title---'
        stream = container.add_stream('mpeg4', rate=10)
        stream.width, stream.height = 60, 40
        for frame in fake_video(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    content = (tmp_path / 'a.mp4').read_bytes()
    assert b'title---' in content
    reply = upload(client, content.replace(b'title---', b't\xeftre\xff\xfe-'), 'a.mp4')
    assert (reply.status_code, reply.json()['frames']) == (200, 2)
    assert client.get('/api/items/i1/image/1').status_code == 200


def test_folders_that_may_not_be_read_show_nothing(with_folder, monkeypatch):
    listed = Path.iterdir

    def refuse(path):
        if path.name == 'shots':
            raise PermissionError(path)
        return listed(path)

    monkeypatch.setattr(Path, 'iterdir', refuse)
    files = with_folder.get('/api/state').json()['folders'][0]['files']
    assert [entry['name'] for entry in files] == ['a.png', 'link.png']
