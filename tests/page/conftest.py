"""One Chromium for all tests of the page, started as `tests/browser.py` says."""

import browser as chromium
import pytest


@pytest.fixture(scope="session")
def browser():
    if chromium.find_browser() is None:
        pytest.skip("no Chromium (set OCO2_CHROMIUM to one); what is in the file is tested without it")
    pytest.importorskip("websocket", reason="no websocket-client (extra dev); what is in the file is tested without")
    with chromium.Browser() as started:
        yield started


def put_away(browser, window):
    """Give a tab back; it may not have complained, nor asked for anything but its own file."""
    said = list(window.console)
    asked = [url for url in window.requests if not url.startswith(("file://", "data:", "blob:"))]
    files = [url for url in window.requests if url.startswith("file://")]
    browser.give_back(window)
    assert said == [] and asked == [] and len(files) == 1


@pytest.fixture
def tab(browser):
    """Opens pages, each in a tab, or instead of one that the test is done with."""
    opened = []

    def open_page(path, *args, instead_of=None, **kwargs):
        if instead_of is not None:
            opened.remove(instead_of)
            put_away(browser, instead_of)
        window = browser.tab(*args, **kwargs)
        opened.append(window)
        window.open(path).wait("Boolean(window.firstPicture)")
        return window

    yield open_page
    for window in opened:
        put_away(browser, window)
