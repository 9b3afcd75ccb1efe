"""The page in a real browser."""

import io
import json
import re
import time
import zipfile

import pytest
from PIL import Image

from seg.testing.annotation_page import click, drag, find_browser, wait
from seg.testing.annotation_page import open_file as choose_file
from seg.testing.fake_annotation import FakeAnnotationModel, FakeFollower, fake_video

pytest.importorskip('uvicorn', reason="the extra webui: pip install 'rapsam[webui]'")
from seg.utils.checks import UserError
from seg.webui.app import make_app
from seg.webui.settings import Settings

pytestmark = pytest.mark.webui
NUM_FRAMES = 12


@pytest.fixture
def folder(tmp_path):
    """A folder with an image and a video, as the server is started with."""
    root = tmp_path / 'pictures'
    (root / 'clip').mkdir(parents=True)
    Image.fromarray(fake_video(1)[0]).save(root / 'photo.png')
    for index, frame in enumerate(fake_video(NUM_FRAMES)):
        Image.fromarray(frame).save(root / 'clip' / f'{index:03d}.png')
    return root


@pytest.fixture
def address(serve, tmp_path, folder):
    settings = Settings(tmp_path / 'work', {'fake': FakeAnnotationModel}, {'pictures': folder})
    return serve(make_app(settings))


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={'width': 1280, 'height': 720})
    opened = context.new_page()
    opened.problems = []
    opened.on('pageerror', lambda error: opened.problems.append(str(error)))
    opened.on('requestfailed', lambda request: opened.problems.append(request.url))
    opened.set_default_timeout(20_000)
    opened.goto(address)
    yield opened
    context.close()
    assert opened.problems == []


def open_file(page, name, as_video=False):
    choose_file(page, json.dumps(['pictures', name, as_video], separators=(',', ':')))


def area(page, object_id=1):
    """Pixels of the mask that is drawn."""
    return page.evaluate(
        """(id) => {
            const found = rapsam.state.shown.objects[id];
            if (!found || !found.counts) return null;
            return decodeRuns(found.counts).reduce((sum, run, i) => sum + (i % 2 ? run : 0), 0);
        }""",
        object_id,
    )


def labels(page):
    return page.locator('#objects .name').all_inner_texts()


def test_click_correct_move_and_undo(page):
    open_file(page, 'photo.png')
    click(page, 15, 20)
    whole = area(page)
    assert whole == 12 * 8
    assert labels(page) == ['1 object']
    drawn = page.evaluate(
        """stage.layer.getContext('2d').getImageData(0, 0, 60, 40).data
            .filter((value, index) => index % 4 === 3 && value).length"""
    )
    assert drawn == whole
    click(page, 21, 20, button='right')
    assert 0 < area(page) < whole
    drag(page, (21, 20), (50, 20))
    wait(page, 'rapsam.times.length === 3')
    assert area(page) == whole
    click(page, 50, 20, button='right')  # on the click itself: taken back
    clicks = page.evaluate('rapsam.state.shown.objects[1].prompts.clicks.length')
    assert clicks == 1
    page.keyboard.press('z')
    wait(page, 'rapsam.state.shown.objects[1].prompts.clicks.length === 2')
    page.keyboard.press('Shift+z')
    wait(page, 'rapsam.state.shown.objects[1].prompts.clicks.length === 1')


def test_boxes_and_words(page):
    open_file(page, 'photo.png')
    page.keyboard.press('b')
    drag(page, (6, 4), (30, 20))
    wait(page, 'rapsam.times.length === 1')
    assert abs(area(page) - 24 * 16) <= 40
    page.keyboard.press('n')
    page.keyboard.press('t')
    page.keyboard.type('the left half')
    page.keyboard.press('Enter')
    wait(page, 'rapsam.state.item.objects.length === 2')
    assert area(page, 2) == 30 * 40
    page.keyboard.press('x')
    page.keyboard.press('c')
    click(page, 10, 20)
    assert area(page, 2) < 30 * 40


def test_everything_is_found(page):
    open_file(page, 'photo.png')
    page.click('#everything')
    wait(page, 'rapsam.state.item.objects.length === 2')
    assert labels(page) == ['1 star', '2 grass']
    page.keyboard.press('e')
    wait(page, "document.getElementById('message').textContent.includes('found none')")
    page.keyboard.press('z')
    wait(page, 'rapsam.state.item.objects.length === 0')


def test_words_and_an_example_find_all_where_the_model_does(browser, serve, tmp_path, folder):
    model = FakeAnnotationModel(finds=True)
    settings = Settings(tmp_path / 'other', {'finder': lambda: model}, {'pictures': folder})
    page = browser.new_context().new_page()
    page.goto(serve(make_app(settings)))
    open_file(page, 'photo.png')
    page.keyboard.press('b')
    drag(page, (2, 2), (12, 12))
    wait(page, 'rapsam.state.item.objects.length === 2')
    page.keyboard.press('t')
    page.keyboard.type('dark square')
    page.keyboard.press('Enter')
    wait(page, 'rapsam.state.item.objects.length === 4')
    drag(page, (20, 20), (40, 36))  # about the object that is chosen
    wait(page, 'rapsam.state.shown.objects[4].prompts !== null')
    assert len(labels(page)) == 4
    page.context.close()


def test_all_keys_are_listed_on_the_page(page):
    page.keyboard.press('?')
    listed = page.inner_text('#help').lower()
    names = {'arrowleft': 'left', 'arrowright': 'right', ' ': 'space', 'escape': 'esc'}
    keys = page.evaluate('Object.keys(KEYS)')
    assert len(keys) > 20
    shown = set(re.split(r'[\s,+]+', listed))
    assert [key for key in keys if names.get(key, key) not in shown] == []


def test_a_frame_is_forgotten(page):
    open_file(page, 'photo.png')
    click(page, 15, 20)
    page.keyboard.press('Backspace')
    wait(page, 'stage.layer === null')
    assert page.evaluate('rapsam.state.shown.objects[1].prompts') is None
    assert labels(page) == ['1 object']


def test_objects_are_named_hidden_accepted_and_deleted(page):
    open_file(page, 'photo.png')
    click(page, 15, 20)
    page.keyboard.press('l')
    page.keyboard.type('red star')
    page.keyboard.press('Enter')
    wait(page, "rapsam.state.item.objects[0].label === 'red star'")
    page.keyboard.press('h')
    wait(page, 'stage.layer === null')
    page.keyboard.press('a')
    wait(page, 'rapsam.state.item.objects[0].accepted')
    page.keyboard.press('Delete')
    wait(page, 'rapsam.state.item.objects.length === 0')
    page.click('#undo')
    wait(page, 'rapsam.state.item.objects.length === 1')
    assert labels(page) == ['1 red star']


def test_a_video_is_followed_corrected_and_exported(page):
    open_file(page, 'clip', as_video=True)
    click(page, 10, 20)
    page.keyboard.press('f')
    wait(
        page,
        f'rapsam.state.item.followed.length && !rapsam.state.item.running '
        f'&& rapsam.state.item.followed[0][1] === {NUM_FRAMES - 1}',
    )
    for _ in range(3):
        page.keyboard.press('ArrowRight')
    wait(page, 'rapsam.state.shown.frame === 3')
    assert area(page) == 96
    click(page, 40, 20)
    wait(page, 'rapsam.state.item.corrected[0] === 3')
    assert page.inner_text('#redo-changed') == f'Redo changed ({NUM_FRAMES - 4})'
    page.click('#redo-changed')
    wait(page, 'rapsam.state.item.to_redo === 0 && !rapsam.state.item.running')
    page.fill('#scrub', '5')
    wait(page, 'rapsam.state.shown.frame === 5')
    left = page.evaluate('decodeRuns(rapsam.state.shown.objects[1].counts)[0] / 40 | 0')
    assert left == 40 - 6 + 2  # the corrected square, two frames on
    page.select_option('#format', 'youtube_vis')
    with page.expect_download() as download:
        page.click('#export')
    with open(download.value.path(), 'rb') as file:
        archive = zipfile.ZipFile(io.BytesIO(file.read()))
    content = json.loads(archive.read('youtube_vis/train.json'))
    assert (
        sum(code is not None for code in content['annotations'][0]['segmentations']) == NUM_FRAMES
    )


def test_following_stops(page, monkeypatch):
    step = FakeFollower.step
    monkeypatch.setattr(FakeFollower, 'step', lambda *given: (time.sleep(0.15), step(*given))[1])
    open_file(page, 'clip', as_video=True)
    click(page, 10, 20)
    page.click('#follow')
    page.wait_for_selector('#progress:not([hidden])')
    page.click('#stop')
    wait(page, '!rapsam.state.item.running && rapsam.state.item.followed.length')
    last = page.evaluate('rapsam.state.item.followed[0][1]')
    assert 0 < last < NUM_FRAMES - 1


def test_a_missing_browser_is_named(monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(UserError, match='apt install chromium'):
        find_browser()


def test_playing_shows_frame_after_frame(page):
    open_file(page, 'clip', as_video=True)
    page.keyboard.press(' ')
    wait(page, 'rapsam.state.frame >= 2')
    page.click('#play')
    assert page.inner_text('#play') == 'Play'


def test_reloading_keeps_the_work(page):
    open_file(page, 'clip', as_video=True)
    page.keyboard.press('ArrowRight')
    wait(page, 'rapsam.state.shown.frame === 1')
    click(page, 10, 20)
    before = area(page)
    page.reload()
    wait(page, 'window.rapsam && rapsam.state.shown !== null')
    assert page.evaluate('rapsam.state.frame') == 1
    assert area(page) == before


def test_two_users_do_not_mix(browser, address, page):
    other = browser.new_context().new_page()
    other.goto(address)
    for user, x in ((page, 10), (other, 50)):
        open_file(user, 'photo.png')
        click(user, x, 20)
    click(page, 10, 30)
    for user, clicks in ((page, [10, 10]), (other, [50])):
        user.reload()
        wait(user, 'window.rapsam && rapsam.state.shown !== null')
        shown = user.evaluate('rapsam.state.shown.objects[1].prompts.clicks')
        assert [round(made[0]) for made in shown] == clicks
    other.context.close()


def test_uploads_and_errors_are_told(page, tmp_path, folder):
    page.set_input_files('#file', folder / 'photo.png')
    wait(page, 'rapsam.state.shown !== null')
    (tmp_path / 'x.png').write_bytes(b'no picture')
    page.set_input_files('#file', tmp_path / 'x.png')
    page.wait_for_selector('#message.bad')
    assert 'expected an image' in page.inner_text('#message')
    assert page.evaluate('rapsam.state.item.name') == 'photo'


def test_the_page_asks_for_the_token(browser, serve, tmp_path):
    settings = Settings(tmp_path, {'fake': FakeAnnotationModel}, token='correct horse')
    address = serve(make_app(settings))
    page = browser.new_context().new_page()
    page.goto(f'{address}/#correct%20horse')
    page.wait_for_selector('#canvas')
    stranger = browser.new_context().new_page()
    stranger.goto(address)
    assert stranger.locator('#canvas').count() == 0
    stranger.fill('#token', 'correct horse')
    stranger.keyboard.press('Enter')
    stranger.wait_for_selector('#canvas')


@pytest.mark.parametrize('size', [(1280, 720), (820, 1180)])
@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_everything_fits(browser, address, size, theme):
    width, height = size
    context = browser.new_context(
        viewport={'width': width, 'height': height}, color_scheme=theme, has_touch=width < 1000
    )
    page = context.new_page()
    page.goto(address)
    open_file(page, 'clip', as_video=True)
    assert page.evaluate('document.documentElement.dataset.theme') == theme
    overflow = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input:not([hidden])')]
            .filter((element) => {
                const { width, left, right, bottom } = element.getBoundingClientRect();
                return width && (right > innerWidth + 1 || bottom > innerHeight + 1 || left < 0);
            })
            .map((element) => element.id)"""
    )
    assert overflow == []
    stage = page.evaluate('[stage.canvas.clientWidth, stage.canvas.clientHeight]')
    assert stage[0] > 0.6 * width and stage[1] > 0.6 * height
    context.close()
