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


@pytest.fixture
def tab(browser):
    """Opens pages; afterwards none may have complained or asked for anything but its own file."""
    opened = []

    def open_page(path, *args, **kwargs):
        window = browser.tab(*args, **kwargs)
        opened.append(window)
        window.open(path).wait("Boolean(window.firstPicture)")
        return window

    yield open_page
    for window in opened:
        said = list(window.console)
        asked = [url for url in window.requests if not url.startswith(("file://", "data:", "blob:"))]
        files = [url for url in window.requests if url.startswith("file://")]
        browser.give_back(window)
        assert said == [] and asked == [] and len(files) == 1
