"""The annotation page in a headless browser: for tests and measurements."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from typing import Any

from seg.utils.checks import UserError

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
_FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
_WAIT = """(patience) => new Promise((done) => {
    const end = performance.now() + patience;
    const holds = () => { try { return Boolean(CONDITION); } catch { return false; } };
    const look = () => {
        if (holds()) done(true);
        else if (performance.now() > end) done(false);
        else setTimeout(look, 8);
    };
    look();
})"""
_PLACE = """([x, y]) => {
    const bounds = stage.canvas.getBoundingClientRect(), [scale, left, top] = stage.frame();
    return [bounds.left + left + x * scale, bounds.top + top + y * scale];
}"""


def find_browser() -> str:
    """The program of the system's Chromium.

    Raises:
        UserError: If there is none.
    """
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        raise UserError(
            f'browser: expected one of {", ".join(BROWSERS)}, got none; apt install chromium'
        )
    return program


def launch_browser(playwright: Any) -> Any:
    """A headless browser of Playwright, which is given the system's own program."""
    return playwright.chromium.launch(executable_path=find_browser(), args=_FLAGS)


class PageServer:
    """A server on a free port of this machine, in a thread of its own.

    Args:
        app: From :func:`seg.webui.app.make_app`.
    """

    def __init__(self, app: Any) -> None:
        import uvicorn

        self._listener = socket.create_server(('127.0.0.1', 0))
        self.address = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        self._server = uvicorn.Server(uvicorn.Config(app, log_level='warning'))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={'sockets': [self._listener]}, daemon=True
        )

    def start(self) -> PageServer:
        """Begin to answer."""
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """End."""
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()


def wait(page: Any, condition: str, seconds: float = 20) -> None:
    """Until a condition holds; Playwright's own waiting needs ``eval``, which the page forbids.

    Args:
        page: Of Playwright.
        condition: JavaScript.
        seconds: How long at most.

    Raises:
        TimeoutError: If it does not.
    """
    held = page.evaluate(_WAIT.replace('CONDITION', condition), 1000 * seconds)
    if not held:
        raise TimeoutError(f'still not: {condition}')


def place(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the page."""
    found = page.evaluate(_PLACE, [x, y])
    return found[0], found[1]


def click(page: Any, x: float, y: float, button: str = 'left') -> None:
    """Click on a pixel of the picture, and wait until the answer is drawn."""
    answers = page.evaluate('rapsam.times.length')
    page.mouse.click(*place(page, x, y), button=button)
    wait(page, f'rapsam.times.length > {answers}')


def drag(page: Any, first: tuple[float, float], second: tuple[float, float]) -> None:
    """Drag from pixel to pixel of the picture."""
    page.mouse.move(*place(page, *first))
    page.mouse.down()
    page.mouse.move(*place(page, *second), steps=4)
    page.mouse.up()


def open_file(page: Any, value: str) -> None:
    """Choose an entry of the list of files, and wait until it is shown.

    Args:
        page: Of Playwright.
        value: JSON of the folder, the file, and whether a folder is a video.
    """
    page.wait_for_selector(f"#open option[value='{value}']", state='attached')
    page.select_option('#open', value)
    wait(page, 'rapsam.state.shown !== null')
