"""Servers of the page, and a headless Chromium."""

import os

import pytest

from seg.testing.annotation_page import PageServer, launch_browser
from seg.utils.checks import UserError


def _skip(reason):
    """Skip, but fail where a browser was promised."""
    if os.environ.get('RAPSAM_REQUIRE_BROWSER') == '1':
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope='module')
def browser():
    # Not for the session: Playwright's event loop would be in the way of other tests.
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _skip('no playwright: pip install playwright')
    with sync_playwright() as playwright:
        try:
            started = launch_browser(playwright)
        except UserError as error:
            _skip(str(error))
        yield started
        started.close()


@pytest.fixture
def serve():
    """Start servers that end with the test."""
    started = []

    def start(app):
        started.append(PageServer(app).start())
        return started[-1].address

    yield start
    for server in started:
        server.stop()
