"""The report in headless Chromium: the error browser, hostile texts, phone width, dark mode, no scripts."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]


@pytest.fixture
def visit(browser: "Browser", report: Any) -> Iterator[Open]:
    """Open the report of a fake run. No script may fail, and nothing may be requested."""
    problems: list[str] = []
    contexts = []

    def opened(name: str, width: int = 1280, **options: Any) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        url = report(name).path.as_uri()
        page.on(
            "request",
            lambda request: None if request.url.split("#")[0] == url else problems.append(request.url),
        )
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems


def shown(page: "Page") -> list[str]:
    return page.locator("#errors > li .measure").all_inner_texts()


def test_errors_are_searched_filtered_sorted_and_shown_in_steps(visit: Open) -> None:
    page = visit("binary")
    assert len(shown(page)) == 20
    status = page.locator("#browser [role=status]")
    assert status.inner_text() == "20 of 179"
    page.locator("#more-errors").click()
    assert len(shown(page)) == 40

    page.locator("#browser-order").select_option("longest")
    lengths = page.locator("#errors > li").evaluate_all("all => all.map(one => Number(one.dataset.length))")
    assert lengths == sorted(lengths, reverse=True)
    page.locator("#browser-order").select_option("file")
    rows = page.locator("#errors > li").evaluate_all("all => all.map(one => Number(one.dataset.row))")
    assert rows == sorted(rows)

    page.locator("#browser-order").select_option("rank")
    kinds = page.locator("#browser-kind option").evaluate_all("all => all.map(one => one.value)")
    assert kinds[1:] == ["0 → 1", "1 → 0"]
    page.locator("#browser-kind").select_option("1 → 0")
    golds = page.locator("#errors > li b.right").all_inner_texts()
    assert set(golds) == {"1"}
    assert "matches" in status.inner_text()

    page.locator("#browser input").fill("no such text anywhere")
    assert shown(page) == []
    assert status.inner_text() == "0 of 0 matches"
    assert page.locator("#more-errors").is_hidden()


def test_a_link_to_an_example_shows_it_even_if_it_is_filtered_out(visit: Open) -> None:
    page = visit("binary")
    page.locator("#browser input").fill("no such text anywhere")
    link = page.locator(".kinds a").last
    target = str(link.get_attribute("href"))
    link.click()
    page.locator(target).wait_for()
    assert page.locator(target).is_visible()


def test_hostile_texts_stay_text(visit: Open) -> None:
    page = visit("binary")
    page.locator("#browser input").fill("<script>alert")
    assert "<script>alert('owned')</script>" in page.locator("#errors").inner_text()
    assert page.locator("#errors script, #errors img").count() == 0


def test_without_scripts_all_errors_are_in_the_page(visit: Open) -> None:
    page = visit("binary", java_script_enabled=False)
    assert page.locator("#browser").is_hidden()
    assert page.locator("#errors > li").count() == 20
    page.locator("#other-errors > summary").click()
    assert page.locator("#other-errors li .measure").last.is_visible()


@pytest.mark.parametrize("name", ["binary", "tokens", "ranking"])
def test_nothing_is_wider_than_a_phone(visit: Open, name: str) -> None:
    page = visit(name, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_mode_changes_the_colours(visit: Open) -> None:
    colours = [
        visit("binary", color_scheme=scheme).evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        for scheme in ("light", "dark")
    ]
    assert colours[0] == ["rgb(255, 255, 255)", "rgb(27, 32, 38)"]
    assert colours[1] == ["rgb(20, 23, 26)", "rgb(230, 233, 236)"]
