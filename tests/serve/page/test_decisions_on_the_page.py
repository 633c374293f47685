"""What the page shows of the decision rule of a model, in both languages."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
TEXTS = {
    "classification": "great phone, the battery lasts for days",
    "multilabel": "the battery lasts, but the screen is dim",
    "token_classification": "🙂 Ada King lives in Paris",
}


def predict(page: "Page", model: str, text: str) -> None:
    page.select_option("#model", model)
    page.fill("#field-0", text)
    with page.expect_response("**/predict"):
        page.click("#predict")
    page.wait_for_selector("#result .copies")


@pytest.mark.parametrize(
    ("locale", "review", "answered", "tag"),
    [
        ("en-US", "Needs review", "No review needed", "review"),
        ("zh-CN", "需要人工复核", "无需人工复核", "待复核"),
    ],
)
def test_what_the_decision_rule_does_not_answer_is_marked_for_review(
    visit: Open, locale: str, review: str, answered: str, tag: str
) -> None:
    """The status is read aloud too, and fits a phone; the line is coloured by the decision."""
    page = visit(width=360, locale=locale)
    shown = {}
    for task, text in TEXTS.items():
        predict(page, f"decided-{task}", text)
        line = page.locator("#result .decision")
        shown[task] = line.inner_text()
        assert line.inner_text() in page.get_by_role("status").first.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        kind = "answer" if shown[task] == answered else "review"
        assert line.get_attribute("class") == f"decision {kind}"
    assert shown["classification"] == answered
    assert shown["multilabel"].startswith(review)
    assert "battery" in shown["multilabel"] and "sound" not in shown["multilabel"]
    assert shown["token_classification"] == review
    rows = page.locator("#result tbody tr").all()
    for row in rows:
        is_tagged = row.locator(".review-tag").count() == 1
        assert is_tagged == (float(row.locator("td.number").inner_text().strip("%")) < 80)
        assert not is_tagged or row.locator(".review-tag").inner_text() == tag
    assert {row.locator(".review-tag").count() for row in rows} == {0, 1}
    predict(page, "decided-multilabel", TEXTS["multilabel"])
    tagged = page.locator("#result .bar:has(.review-tag) .bar-label").all_inner_texts()
    assert sorted(text.split(tag)[0].strip() for text in tagged) == ["battery", "screen"]
    assert page.locator("#result .mark").count() == 0, "each label has a cutoff of its own"
    assert page.locator("#result p.hint:not(.time)").count() == 0, "so no threshold is named"
    predict(page, "classification", TEXTS["classification"])
    assert page.locator("#result .decision").count() == 0, "a model without a rule decides nothing"
