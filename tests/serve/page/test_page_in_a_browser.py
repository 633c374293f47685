"""The journeys of a user through the page, in a real browser with a real service."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running import Running, serving

import bertune as bt
from bertune import registry
from small_texts import labelled_texts
from tiny_exports import Exports

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]
TASKS = registry.names("task")
# What a user enters: the values of the fields by their number, and by that of the item if there are several.
TYPED: dict[str, dict[str, str]] = {
    "classification": {"0": "great phone, the battery lasts for days"},
    "multilabel": {"0": "the battery lasts, but the screen is dim"},
    "regression": {"0": "a man plays a guitar", "1": "a man plays music"},
    "token_classification": {"0": "🙂 Ada King lives in Paris"},
    "question_answering": {"0": "who sings?", "1": "🎵 Ada sings and Bo plays the drum."},
    "multiple_choice": {"0": "tom is ill", "1": "where is he ?", "2-0": "at home", "2-1": "at work"},
    "ranking": {"0": "how do caves form ?", "1-0": "the train was late", "1-1": "water eats the rock away"},
    "embeddings": {"0-0": "how do i reset my password", "0-1": "forgot my login"},
    "language_modelling": {"0": "heavy [MASK]"},
}


def enter(page: "Page", task: str, **changes: str) -> None:
    if page.locator("#model").is_enabled():  # not if there is only one model
        page.select_option("#model", task)
    for number, text in {**TYPED[task], **changes}.items():
        page.fill(f"#field-{number}", text)


def predict(page: "Page", task: str) -> "Locator":
    enter(page, task)
    page.click("#predict")
    page.wait_for_selector("#result .copies")
    return page.locator("#result")


def expected(exports: Exports, task: str) -> Any:
    """The predictions of the library for what is typed."""
    model = bt.load(exports.run(task), settings={"machine.threads": 1})
    typed = list(TYPED[task].values())
    rows: dict[str, list[Any]] = {
        "multiple_choice": [(*typed[:2], typed[2:])],
        "ranking": [(typed[0], document) for document in typed[1:]],
        "embeddings": [tuple(typed)],
    }
    return model.predict(rows.get(task) or [typed[0] if len(typed) == 1 else tuple(typed)])


def percent(text: str) -> float:
    return float(text.strip("<> %")) / 100


def bars(place: "Locator") -> list[tuple[str, float]]:
    labels = place.locator(".bar-label").all_inner_texts()
    values = place.locator(".bar-value").all_inner_texts()
    return [(label, percent(value)) for label, value in zip(labels, values, strict=True)]


def assert_bars(found: list[tuple[str, float]], wanted: dict[str, float]) -> None:
    assert [value for _, value in found] == sorted((value for _, value in found), reverse=True)
    # Rounded to 0.1%; near 0 and 1, only "< 0.1%" and "> 99.9%" are shown.
    assert dict(found) == pytest.approx(wanted, abs=0.00101)


def test_a_text_is_classified_and_its_probabilities_are_bars(visit: Open, exports: Exports) -> None:
    page = visit()
    enter(page, "classification")
    page.keyboard.press("Control+Enter")
    result = page.locator("#result")
    result.locator(".copies").wait_for()
    prediction = expected(exports, "classification")[0]
    assert result.locator(".headline").inner_text() == prediction.label
    assert_bars(bars(result), prediction.probabilities)
    widths = result.locator(".fill").evaluate_all(
        "fills => fills.map(fill => fill.offsetWidth / fill.parentElement.offsetWidth)"
    )
    assert widths == pytest.approx(sorted(prediction.probabilities.values(), reverse=True), abs=0.02)
    assert prediction.label in page.get_by_role("status").first.inner_text()


def test_labels_that_reach_the_threshold_are_marked(visit: Open, exports: Exports) -> None:
    result = predict(visit(), "multilabel")
    prediction = expected(exports, "multilabel")[0]
    assert_bars(bars(result), prediction.probabilities)
    assert set(result.locator(".chosen .bar-label").all_inner_texts()) == set(prediction.labels)
    places = result.locator(".mark").evaluate_all("marks => marks.map(m => m.style.left)")
    assert set(places) == {"50%"}
    assert "50.0%" in result.inner_text()


def test_a_number_is_shown_on_its_scale(visit: Open, exports: Exports) -> None:
    result = predict(visit(), "regression")
    value = expected(exports, "regression")[0].value
    assert float(result.locator(".headline").inner_text()) == pytest.approx(value, abs=0.0051)
    assert result.locator(".ends span").all_inner_texts() == ["0.00", "5.00"]
    at = float(result.locator(".pointer").evaluate("pointer => parseFloat(pointer.style.left)"))
    assert at == pytest.approx(100 * value / 5, abs=0.1)


def test_entities_are_marked_where_they_are(visit: Open, exports: Exports) -> None:
    result = predict(visit(), "token_classification")
    text, spans = TYPED["token_classification"]["0"], expected(exports, "token_classification")[0].spans
    assert spans, "the model has learned its sample"
    marks = result.locator(".passage mark").evaluate_all(
        "marks => marks.map(m => [m.firstChild.data, m.querySelector('.tag').textContent])"
    )
    assert marks == [[text[s["start"] : s["end"]], s["label"]] for s in spans]
    before = result.locator(".passage").first.evaluate("p => p.firstChild.data")
    assert before == text[: spans[0]["start"]]
    cells = result.locator("tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.cells].map(c => c.textContent))"
    )
    for row, span in zip(cells, spans, strict=True):
        assert row[:2] == [span["text"], span["label"]]
        assert percent(row[2]) == pytest.approx(span["score"], abs=0.00051)


def test_words_can_be_given_instead_of_a_text(visit: Open, exports: Exports) -> None:
    page = visit()
    enter(page, "token_classification", **{"0": "ada king lives in paris"})
    page.check("#field-0-split")
    page.click("#predict")
    page.wait_for_selector("#result .words")
    model = bt.load(exports.run("token_classification"), settings={"machine.threads": 1})
    tags = model.predict([["ada", "king", "lives", "in", "paris"]])[0].tags
    shown = page.locator(".words .word").evaluate_all(
        "words => words.map(w => w.querySelector('.tag')?.textContent ?? 'O')"
    )
    assert shown == tags


def test_the_answer_is_highlighted_in_its_context(visit: Open, exports: Exports) -> None:
    result = predict(visit(), "question_answering")
    answer, context = expected(exports, "question_answering")[0], TYPED["question_answering"]["1"]
    assert answer.answer
    parts = result.locator(".passage").first.evaluate("p => [...p.childNodes].map(n => n.textContent)")
    assert parts == [context[: answer.start], answer.answer, context[answer.end :]]
    assert_bars(bars(result), {c["answer"]: c["score"] for c in answer.n_best[:5]})


def test_documents_are_ranked(visit: Open, exports: Exports) -> None:
    result = predict(visit(), "ranking")
    documents = [TYPED["ranking"]["1-0"], TYPED["ranking"]["1-1"]]
    scores = [p.score for p in expected(exports, "ranking")]
    assert_bars(bars(result), dict(zip(documents, scores, strict=True)))


def test_choices_similarities_and_masks_are_shown(visit: Open, exports: Exports) -> None:
    page = visit()
    choice = expected(exports, "multiple_choice")[0]
    result = predict(page, "multiple_choice")
    assert result.locator(".headline").inner_text() == choice.choice
    assert_bars(bars(result), dict(zip(("at home", "at work"), choice.probabilities, strict=True)))
    cosine = expected(exports, "embeddings")[0].similarities[0]
    shown = predict(page, "embeddings").locator(".headline").inner_text()
    assert float(shown.replace("−", "-")) == pytest.approx(cosine, abs=0.0051)
    best = expected(exports, "language_modelling")[0].masks[0]["best"]
    result = predict(page, "language_modelling")
    top = dict(sorted(best.items(), key=lambda item: -item[1])[:5])
    assert_bars(bars(result), top)
    assert result.locator("mark").inner_text() == max(best, key=best.__getitem__)


def test_the_words_that_mattered_are_shown_for_any_label(visit: Open) -> None:
    page = visit()
    result = predict(page, "classification")
    first = result.locator(".headline").inner_text()
    page.click(".explain > button")
    page.wait_for_selector(".strongest")
    body = {"row": TYPED["classification"]["0"]}
    answer = page.request.post(f"{page.url.split('#')[0]}models/classification/explain", data=body).json()
    assert (answer["target"], page.locator("#target").evaluate("s => s.selectedOptions[0].text")) == (
        first,
        first,
    )
    strongest = max(answer["words"], key=lambda word: abs(word["contribution"]))
    word = answer["texts"][0][strongest["start"] : strongest["end"]]
    assert page.locator(".strongest bdi").first.inner_text() == word
    kind = "for" if strongest["contribution"] > 0 else "against"
    assert page.locator(f".explanation .weight.{kind}.strength-10").first.inner_text() == word
    (other,) = {"good", "bad"} - {first}
    with page.expect_response("**/explain"):
        page.select_option("#target", label=other)
    opposite = {"for": "against", "against": "for"}[kind]
    page.wait_for_selector(f".explanation .weight.{opposite}.strength-10")


def test_the_language_is_that_of_the_browser_until_it_is_switched(visit: Open) -> None:
    page = visit(locale="zh-CN")
    assert page.locator("#predict").inner_text() == "预测"
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    predict(page, "classification")
    page.get_by_role("button", name="English").click()
    assert page.locator("#predict").inner_text() == "Predict"
    assert page.input_value("#field-0") == TYPED["classification"]["0"], "the text is kept"
    assert "Answered in" in page.locator("#result").inner_text(), "and the prediction"
    page.reload()
    page.wait_for_selector("#work:not([hidden])")
    assert page.locator("#predict").inner_text() == "Predict"


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_nothing_is_wider_than_a_phone(visit: Open, locale: str) -> None:
    page = visit(width=360, locale=locale)
    for task in TASKS:
        predict(page, task)
        for summary in page.locator("summary").all():
            summary.click()
        widest = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
        assert widest <= 360, task


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_contrast_and_every_control_a_name(visit: Open, theme: str) -> None:
    page = visit(color_scheme=theme)
    source = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
    for task in TASKS:
        predict(page, task)
        unreadable, unnamed = page.evaluate(f"(() => {{ {source}; return [unreadable(), unnamed()]; }})()")
        assert unreadable == [], task
        assert unnamed == [], task


def test_a_file_is_labelled_with_progress_and_downloaded(
    visit: Open, exports: Exports, tmp_path: Path
) -> None:
    rows = [(str(n), text, f'say "{n}",\nplease') for n, (text, _) in enumerate(labelled_texts(300))]
    rows[7] = ("7", "", "no text")
    given = tmp_path / "my reviews.csv"
    with given.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text", "note"), *rows])
    page = visit(width=360)
    page.select_option("#model", "classification")
    page.set_input_files("#file", str(given))
    page.click("#label-file")
    page.wait_for_selector(".job progress, .job.done")
    page.wait_for_selector(".job.done")
    assert "300 rows labelled · 1 without text" in page.locator(".job-status").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "my reviews.labelled.csv"
    model = bt.load(exports.run("classification"), settings={"machine.threads": 1})
    model.predict_file(given, tmp_path / "expected.csv")
    found, wanted = (_read(Path(path)) for path in (download.value.path(), tmp_path / "expected.csv"))
    assert found[0] == wanted[0]
    for one, other in zip(found[1:], wanted[1:], strict=True):
        assert one[:4] == other[:4]
        assert list(map(_number, one[4:])) == pytest.approx(list(map(_number, other[4:])), abs=1e-6)
    page.reload()
    page.wait_for_selector(".job.done")
    page.get_by_role("button", name="Remove").click()
    page.wait_for_selector(".job", state="detached")


def _read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _number(cell: str) -> float:
    return float(cell) if cell else -1.0


def test_a_file_that_cannot_be_labelled_says_why(visit: Open, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("kind,amount\nbig,1\nsmall,2\n", encoding="utf-8")
    page = visit()
    page.select_option("#model", "classification")
    page.click("#label-file")
    assert page.locator("#upload-problem").inner_text() == "Choose a file first."
    page.set_input_files("#file", str(wrong))
    page.click("#label-file")
    page.wait_for_selector(".job.failed")
    assert "wrong.csv: could not identify the text column" in page.locator(".job").inner_text()
    page.fill("#columns", "kind")
    page.click("#label-file")
    page.wait_for_selector(".job.done")


def test_errors_are_shown_in_words_at_the_input(visit: Open) -> None:
    page = visit()
    page.select_option("#model", "classification")
    page.click("#predict")
    assert page.get_by_role("alert").inner_text() == "Text is empty. Enter a text."
    assert page.locator("#field-0").evaluate("field => document.activeElement === field")
    page.fill("#field-0", "great " * 100)
    page.click("#predict")
    page.get_by_role("button", name="Truncate and predict").wait_for()
    problem = page.locator("#problem").inner_text()
    assert "too long" in problem
    assert "has 102 tokens, but this model reads at most 64" in problem
    page.get_by_role("button", name="Truncate and predict").click()
    page.wait_for_selector("#result .copies")
    assert page.locator("#problem").is_hidden()
    enter(page, "language_modelling", **{"0": "heavy rain"})
    page.click("#predict")
    assert "has no [MASK]" in page.locator("#problem").inner_text()


def test_data_never_becomes_markup(visit: Open) -> None:
    page = visit()
    attack = "<img src=x onerror=alert()>"
    enter(page, "question_answering", **{"0": attack, "1": attack})
    page.click("#predict")
    page.wait_for_selector("#result .copies")
    assert page.locator("#result img, #result script").count() == 0
    assert page.title() == "bertune"
    policy = page.request.get(page.url).headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")


def test_the_request_can_be_copied_as_a_command(visit: Open) -> None:
    page = visit()
    enter(page, "classification", **{"0": "it's a great phone, isn't it? $HOME `id`"})
    page.click("#predict")
    page.locator("summary", has_text="JSON").click()
    page.locator("summary", has_text="curl").click()
    shown, command = page.locator("#result pre").all_inner_texts()
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    if done.returncode == 127:
        pytest.skip("curl is not installed")
    assert json.loads(done.stdout) == json.loads(shown)


def test_the_page_asks_for_the_token(browser: Any, visit: Open, exports: Exports, tmp_path: Path) -> None:
    given = tmp_path / "texts.jsonl"
    given.write_text('{"text": "great phone"}\n', encoding="utf-8")
    with serving([f"classification={exports.run('classification')}"], token="sesame") as running:
        page = visit(running.url)
        page.fill("#token-value", "guess")
        page.keyboard.press("Enter")
        page.get_by_text("The token is wrong.").wait_for()
        page.fill("#token-value", "sesame")
        page.keyboard.press("Enter")
        page.wait_for_selector("#work:not([hidden])")
        predict(page, "classification")
        page.locator("summary", has_text="curl").click()
        assert "$BERTUNE_TOKEN" in page.locator("#result pre").last.inner_text()
        page.set_input_files("#file", str(given))
        page.select_option("#format", "jsonl")
        page.click("#label-file")
        page.wait_for_selector(".job.done")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        (line,) = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
        assert json.loads(line)["label"] in ("good", "bad")
        page.reload()
        page.wait_for_selector("#work:not([hidden])")
        assert (
            page.evaluate("localStorage.length + ' ' + sessionStorage.getItem('bertune-token')") == "0 sesame"
        )


def test_an_export_without_torch_has_no_explanations(visit: Open, exports: Exports) -> None:
    with serving([f"classification={exports.export('classification')}"]) as running:
        page: Any = visit(running.url)
        result = predict(page, "classification")
        assert result.locator(".explain").count() == 0
        found = page.request.post(f"{running.url}/models/classification/explain", data={"row": "great"})
    assert found.status == 422
    assert "only torch computes" in found.json()["error"]


def test_files_of_the_page_are_complete(every_task: Running) -> None:
    with every_task.client() as client:
        names = [path.name for path in Path("src/bertune/serve/page").iterdir()]
        for name in names:
            answer = client.get(f"/page/{name}")
            assert answer.status_code == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = client.get(f"/page/{name}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        assert client.get("/page/nothing.js").status_code == 404
