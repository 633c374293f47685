"""A service with a model of every task, and its page in a browser."""

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from running import Running, serving

from bertune import registry
from bertune.metadata import update_decision
from bertune.metrics.decisions import DecisionRule

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tiny_exports import Exports

Open = Callable[..., "Page"]
LABELS = ("battery", "screen", "sound")  # of the multilabel model


# What the models with decision rules answer alone: confident entities only, and the labels "sound" and good.
RULES = {
    "classification": DecisionRule({"": 0.9}),
    "multilabel": DecisionRule(
        {f"{label}: {side}": 0.0 if label == "sound" else None for label in LABELS for side in ("no", "yes")},
        cutoffs={"battery": 0.6, "screen": 0.6, "sound": 0.6},
    ),
    "token_classification": DecisionRule({"": 0.8}),
}


@pytest.fixture(scope="package")
def every_task(exports: "Exports", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a run of each task, by its name, and models with `RULES` as decided-NAME. Read only."""
    places = [f"{name}={exports.run(name)}" for name in registry.names("task")]
    for name, rule in RULES.items():
        copy = tmp_path_factory.mktemp("decided") / name
        shutil.copytree(exports.run(name) / "model", copy)
        update_decision(copy, None, rule)
        places.append(f"decided-{name}={copy}")
    with serving(places, {"serve": {"backend": "torch"}}) as found:
        yield found


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
