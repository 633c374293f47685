"""A service with a model of every task, and Debian's Chromium to look at its page."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from running import Running, serving

from bertune import registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tiny_exports import Exports

CHROMIUM = Path(os.environ.get("BERTUNE_CHROMIUM", "/usr/bin/chromium"))
# Only what the tests ask for: no updates, no GPU, and no sandbox, which needs privileges in containers.
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def every_task(exports: "Exports") -> Iterator[Running]:
    """A service with a run of each task, by its name. Read only."""
    names = registry.names("task")
    with serving([f"{name}={exports.run(name)}" for name in names], {"serve": {"backend": "torch"}}) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One browser for all tests of a module; Playwright's event loop would disturb those of other modules."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=str(CHROMIUM), headless=True, args=list(_ARGUMENTS)
        )
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: "Browser", every_task: Running) -> Iterator[Open]:
    """Open the page in a fresh profile. No request may leave the service, and no script may fail."""
    visited: set[str] = set()
    requested: set[str] = set()
    problems: list[str] = []
    contexts = []

    def opened(url: str = every_task.url, width: int = 1280, **options: Any) -> "Page":
        context = browser.new_context(
            **{"locale": "en-US", "viewport": {"width": width, "height": 800}, **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("request", lambda request: requested.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: _note(message, problems))
        visited.add(urlsplit(url).netloc)
        page.goto(url)
        page.wait_for_selector("#work:not([hidden]), dialog[open]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert requested - {""} == visited  # without a host: blobs that the page itself made
    assert not problems


def _note(message: Any, problems: list[str]) -> None:
    # The browser reports responses with an error status, which some tests provoke.
    if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
        problems.append(message.text)
