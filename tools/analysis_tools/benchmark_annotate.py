"""Measure the annotation page in a headless Chromium, and draw its pictures for the docs.

Times run from the release of the mouse button to the frame of the browser that shows the mask.

Example:
    python tools/analysis_tools/benchmark_annotate.py --pictures docs/pictures
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.freed_memory import keep_freed_memory

if TYPE_CHECKING:
    from seg.apis.annotation import AnnotationModel

SEED, NUM_IMAGES, CLIP_FRAMES = 9, 3, 24
SIZES = {'desktop': (1280, 720), 'tablet': (820, 1180)}


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('--config', help='of the model; by default the embedded one')
    parser.add_argument('--checkpoint', help='weights to use with --config')
    parser.add_argument('--device', help='such as cpu or cuda:0; by default the GPU if any')
    parser.add_argument('--clicks', type=int, default=30, help='of one user (default: 30)')
    parser.add_argument('--users', type=int, default=4, help='at once (default: 4)')
    parser.add_argument(
        '--frames', type=int, default=1000, help='to follow objects through, 0 for none'
    )
    parser.add_argument('--pictures', type=Path, help='a folder for pictures of the page')
    arguments = parser.parse_args(argv)
    if arguments.clicks < 2 or arguments.users < 1 or arguments.frames < 0:
        raise UserError('--clicks, --users, --frames: expected at least 2, 1 and 0')
    return arguments


def write_samples(folder: Path) -> None:
    """Images and a clip of Shapes, as files."""
    from seg.datasets.shapes import ShapesWorld
    from seg.visualization import write_picture

    world = ShapesWorld(seed=SEED)
    for index in range(NUM_IMAGES):
        write_picture(folder / f'image_{index}.png', world.image(index).clip[0])
    for index, frame in enumerate(world.clip(4, CLIP_FRAMES).clip):
        write_picture(folder / 'clip' / f'{index:03d}.png', frame)


def clip_points(count: int) -> list[tuple[float, float]]:
    """Pixels in the middle of the largest things on the first frame of the clip."""
    import numpy as np

    from seg.datasets.shapes import ShapesWorld

    sample = ShapesWorld(seed=SEED).clip(4, 1)
    masks = [
        sample.segment_map[0] == k + 1 for k in range(len(sample.labels)) if sample.is_thing[k]
    ]
    points = []
    for mask in sorted(masks, key=lambda mask: -mask.sum())[:count]:
        rows, columns = np.nonzero(mask)
        middle = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
        points.append((float(columns[middle]) + 0.5, float(rows[middle]) + 0.5))
    return points


@contextmanager
def served(model: AnnotationModel) -> Iterator[tuple[Any, str]]:
    """A browser, and the address of a server with a folder of samples."""
    from playwright.sync_api import sync_playwright

    from seg.testing.annotation_page import PageServer, launch_browser
    from seg.webui.app import make_app
    from seg.webui.settings import Settings

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch) / 'samples'
        write_samples(folder)
        settings = Settings(
            Path(scratch) / 'work', {model.name: lambda: model}, {'samples': folder}
        )
        server = PageServer(make_app(settings)).start()
        browser = launch_browser(playwright)
        try:
            yield browser, server.address
        finally:
            browser.close()
            server.stop()


def new_page(browser: Any, address: str, size: str = 'desktop', theme: str = 'light') -> Any:
    """A page of a user of its own."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={'width': width, 'height': height}, color_scheme=theme)
    page = context.new_page()
    page.goto(address)
    return page


def open_sample(page: Any, name: str) -> None:
    """Open an image, or the clip."""
    from seg.testing.annotation_page import open_file

    open_file(page, json.dumps(['samples', name, name == 'clip'], separators=(',', ':')))


def click_many(pages: Sequence[Any], count: int) -> list[float]:
    """Click at once on all pages, each time on a new object; milliseconds of each answer."""
    import numpy as np

    from seg.testing.annotation_page import place, wait

    rng = np.random.default_rng(0)
    for _ in range(count):
        for page in pages:
            answers = page.evaluate('rapsam.times.length')
            page.keyboard.press('n')
            x, y = rng.uniform((4, 4), (156, 124))
            page.mouse.click(*place(page, float(x), float(y)))
            page.expected = answers + 1
        for page in pages:
            wait(page, f'rapsam.times.length >= {page.expected}', 120)
    return [value for page in pages for value in page.evaluate('rapsam.times')]


def summary(times: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, milliseconds."""
    ordered = sorted(times)
    last = ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]
    return {'median_ms': round(statistics.median(ordered), 1), 'p95_ms': round(last, 1)}


def measure_page(browser: Any, address: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Weight of the page, and times of one and of several users."""
    page = new_page(browser, address)
    weight = page.evaluate(
        """performance.getEntriesByType('navigation')
            .concat(performance.getEntriesByType('resource'))
            .filter((entry) => !entry.name.includes('/api/'))
            .reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""
    )
    open_sample(page, 'image_0.png')
    first, *others = click_many([page], arguments.clicks)
    pages = [new_page(browser, address) for _ in range(arguments.users)]
    for user, opened in enumerate(pages):
        open_sample(opened, f'image_{user % NUM_IMAGES}.png')
    together = click_many(pages, max(arguments.clicks // arguments.users, 2))
    for opened in [page, *pages]:
        opened.context.close()
    return {
        'page_bytes': weight,
        'first_click_ms': round(first, 1),
        'click': summary(others),
        'users': arguments.users,
        'click_with_users': summary(together),
    }


def measure_memory(model: AnnotationModel, num_frames: int) -> dict[str, Any]:
    """Memory of this process after following two objects through many frames."""
    import numpy as np

    from seg.apis.annotation import AnnotationSession
    from seg.datasets.shapes import ShapesWorld
    from seg.visualization.video_writer import VideoWriter

    clip = ShapesWorld(seed=SEED).clip(4, CLIP_FRAMES).clip
    order = np.abs(np.arange(num_frames) % (2 * CLIP_FRAMES - 2) - (CLIP_FRAMES - 1))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / 'long.mp4'
        with VideoWriter(path, frames_per_second=24) as writer:
            for index in order:
                writer.write(clip[CLIP_FRAMES - 1 - index])
        session = AnnotationSession(model, Path(scratch) / 'work')
        item = session.open(path)
        for x, y in clip_points(2):
            item.add_click(item.add_object(), x, y)
        early, started = 0.0, time.perf_counter()
        for step in session.propagate(item.item_id, 0):
            if step.done == min(100, num_frames // 2):
                early = resident_megabytes()
        seconds = time.perf_counter() - started
        state = sum(len(mask.counts) for one in item.objects for mask in one.masks.values())
    return {
        'frames': step.done,
        'early_mb': round(early, 1),
        'late_mb': round(resident_megabytes(), 1),
        'masks_kb': round(state / 1024, 1),
        'seconds_per_frame': round(seconds / step.done, 4),
    }


def resident_megabytes() -> float:
    """Memory of this process that is in use."""
    text = Path('/proc/self/status').read_text()
    (line,) = [line for line in text.splitlines() if line.startswith('VmRSS')]
    return int(line.split()[1]) / 1024


def draw_pictures(browser: Any, address: str, model: AnnotationModel, folder: Path) -> None:
    """Pictures of the page: at work on a clip, on a tablet, in the dark, with its shortcuts."""
    from seg.testing.annotation_page import click, wait

    folder.mkdir(parents=True, exist_ok=True)
    for size, theme in (('desktop', 'light'), ('desktop', 'dark'), ('tablet', 'light')):
        page = new_page(browser, address, size, theme)
        open_sample(page, 'clip')
        for x, y in clip_points(3):
            page.keyboard.press('n')
            click(page, x, y)
        if model.follows:
            page.keyboard.press('f')
            wait(page, 'rapsam.state.item.followed.length', 120)
            wait(page, '!rapsam.state.item.running', 600)
        page.fill('#scrub', '7')
        wait(page, 'rapsam.state.shown.frame === 7')
        if model.follows:
            page.keyboard.press('1')
            x, y = clip_points(1)[0]
            click(page, x + 6, y + 6)
        if theme == 'dark':
            page.keyboard.press('?')
        page.screenshot(path=folder / f'annotate_{size}_{theme}.jpg', type='jpeg', quality=80)
        page.context.close()


def main() -> None:
    """Measure."""
    arguments = parse_arguments(sys.argv[1:])
    keep_freed_memory()
    from seg.apis import load_model
    from seg.apis.annotation import AnnotationModel
    from seg.apis.model_zoo import DEFAULT_MODEL

    source = arguments.config or DEFAULT_MODEL
    loaded = load_model(source, arguments.checkpoint, arguments.device)
    model = AnnotationModel(loaded, Path(source).stem)
    with served(model) as (browser, address):
        report = measure_page(browser, address, arguments)
        if arguments.pictures is not None:
            draw_pictures(browser, address, model, arguments.pictures)
    if arguments.frames and model.follows:
        report['following'] = measure_memory(model, arguments.frames)
    print(json.dumps(report))


if __name__ == '__main__':
    run_main(main)
