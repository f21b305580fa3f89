"""What the tests of the admin view share: the example that serves it in all its states, and a real browser."""
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

TOKEN = "correct-horse-battery"
ROOT = Path(__file__).resolve().parents[2]
# A page that asks anybody but its own service must be seen to: no request of the browser's own.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]


def target():
    """Where Cargo builds."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


@contextlib.contextmanager
def served(address="127.0.0.1:0"):
    """The example; gives where it serves and its process."""
    program = target() / "debug/examples/admin_states"
    process = subprocess.Popen([program, address], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def base():
    with served() as (base, process):
        yield base
        assert process.poll() is None, "the service ended"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A browser with a fresh profile; each test gets a context, which is a profile of its own within it."""
    program = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    assert program, "no chromium: tools/setup browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class Page:
    """A tab that notes what a page must not do."""

    def __init__(self, browser, base, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "timezone_id": "Asia/Tokyo", **options})
        self.context.set_default_timeout(60_000)
        self.tab = self.context.new_page()
        self.base, self.said, self.asked = base, [], []
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.context.on("request", lambda request: self.asked.append(request.url))

    def open(self, path, token=TOKEN):
        if token:
            self.tab.add_init_script(f"sessionStorage.setItem('sentinel-admin-token', {token!r})")
        self.tab.goto(self.base + path)
        return self

    def text(self, selector):
        return self.tab.inner_text(selector)

    def shows(self, selector, text):
        self.tab.locator(selector, has_text=text).first.wait_for(timeout=60_000)


@pytest.fixture
def page(chromium, base):
    page = Page(chromium, base)
    # For a test in which the browser itself has something to say: of answers that are no success, of a policy.
    page.expected = ()
    yield page
    page.context.close()
    assert [text for text in page.said if not any(part in text for part in page.expected)] == []
    others = [url for url in page.asked if not url.startswith((page.base + "/", "data:"))]
    assert others == []
