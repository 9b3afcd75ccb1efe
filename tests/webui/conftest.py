"""A server of the page on a free port, and a headless Chromium."""

import os
import shutil
import socket
import threading
import time

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


def _skip(reason):
    """Skip, but fail where a browser was promised."""
    if os.environ.get('RAPSAM_REQUIRE_BROWSER') == '1':
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope='session')
def browser():
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        _skip(f'no browser: apt install chromium (looked for {", ".join(NAMES)})')
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _skip('no playwright: pip install playwright')
    with sync_playwright() as playwright:
        flags = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
        started = playwright.chromium.launch(executable_path=program, args=flags)
        yield started
        started.close()


class Server:
    """A server in a thread of its own."""

    def __init__(self, app):
        import uvicorn

        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = f'http://127.0.0.1:{self.listener.getsockname()[1]}'
        self.server = uvicorn.Server(uvicorn.Config(app, log_level='warning'))
        self.thread = threading.Thread(
            target=self.server.run, kwargs={'sockets': [self.listener]}, daemon=True
        )

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(10)
        self.listener.close()


@pytest.fixture
def serve():
    """Start servers that end with the test."""
    started = []

    def start(app):
        server = Server(app).__enter__()
        started.append(server)
        return server.address

    yield start
    for server in started:
        server.__exit__()
