"""What the page shows for each kind of task."""

import json
import re

import fake_runs
import pytest
import task_runs
from page_reader import Page

from bertune.reporting.mistakes import worded
from bertune.reporting.write import write_report

NAMES = [make.__name__ for make in task_runs.EVERY_RUN]


def row(page: Page, start: str) -> list[str]:
    """The words of the first table row that starts with `start`."""
    rows = [e.text for e in page.all("tr") if e.text.strip().startswith(start)]
    assert rows, f"no row starts with {start}"
    return rows[0].split()


def items(page: Page) -> list[tuple[str | None, str]]:
    """Role and text of each listed choice or ranked document."""
    elements = [e for e in page.all("li") if "class" in e.attributes]
    return [(e.attributes["class"], " ".join(e.text.split())) for e in elements]


def marked(page: Page, role: str) -> list[str]:
    return [e.text for e in page.all("mark", role)]


@pytest.mark.parametrize("name", NAMES)
def test_the_errors_of_every_kind_of_task_are_shown(report, name):
    page = report(name).page
    assert page.all("ol", "mistakes")
    assert page.all("p", "place")[0].text.startswith("dev.jsonl, line ")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_uses_only_the_terms_of_its_task(report, name):
    made = report(name)
    text = made.page.text
    assert "None" not in re.sub("None of the", "", text)
    assert "nan" not in text.split()
    if made.run.manifest["row_noun"] != "text":
        for words in ("test texts", "Label new texts", "every text", "Texts shared by", "per text "):
            assert words not in text


def test_correct_missed_and_spurious_entities_are_marked(report):
    page = report("tokens").page
    assert marked(page, "right") == ["Ada Lovelace"]
    assert set(marked(page, "missed")) == {"Bo", "Paris", "Oslo"}
    assert {"Paris", "met", "Oslo", "ville"} <= set(marked(page, "wrong"))
    assert {e.text for e in page.all("small", "tag")} == {
        "PER", "predicted ORG", "gold LOC", "gold PER", "predicted LOC",
    }  # fmt: skip
    assert [e.text for e in page.all("span", "measure")] == ["errors: 4", "errors: 2"]
    assert "2 of 2 test texts have a missed or wrong entity" in page.text


def test_entity_errors_are_counted_by_label_and_kind(report):
    page = report("tokens").page
    headings = "label correct wrong label wrong boundaries both wrong missed spurious"
    assert headings in page.text
    kinds = next(e.text for e in page.all("table", "detail"))
    assert "LOC 0 1 1 0 0 0" in " ".join(kinds.split())
    assert "PER 1 0 0 0 1 0" in " ".join(kinds.split())
    assert "ORG 0 0 0 0 0 1" in " ".join(kinds.split())


def test_spans_that_no_prediction_can_match_are_reported(report):
    text = report("tokens").page.text
    assert "begin or end inside a word 1 0.250" in text
    assert "at most 75.0% of these can be found" in text


def test_the_confusion_matrix_of_entities_counts_words_by_type(report):
    page = report("tokens").page
    assert "Confusion matrix on the test words" in page.text
    (matrix,) = page.all("table", "matrix")
    assert " ".join(matrix.text.split()).startswith("predicted gold OLOCPER O 4 LOC 1")
    assert "B-LOC" not in matrix.text


def test_a_word_with_a_wrong_tag_is_marked_with_both_tags(report):
    page = report("tags").page
    assert [(e.text, e.attributes["class"]) for e in page.all("mark")] == [("barks", "missed wrong")]
    assert [e.text for e in page.all("small", "tag")] == ["predicted NN", "gold VB"]


def test_a_wrong_answer_is_shown_in_context_with_the_gold_answer(report):
    page = report("qa").page
    assert "2 of 3 test questions were answered incorrectly" in page.text
    first, second = (" ".join(e.text.split()) for e in page.all("p", "verdict"))
    assert first == "F1 0.000 predicted Ada sings 80.0% gold Bo no-answer score -2.00"
    assert second == "F1 0.000 predicted Ada 60.0% gold no answer no-answer score -0.50"
    assert {"Ada sings", "Ada"} == set(marked(page, "wrong"))
    assert {"Bo"} == set(marked(page, "missed"))
    opening = next(e.text for e in page.all("span", "opening"))
    assert "Ada singspredicted and Bogold drums" in opening
    assert len(opening) < 400


def test_questions_with_and_without_an_answer_are_scored_separately_and_by_threshold(report):
    page = report("qa").page
    assert row(page, "answerable")[-3:] == ["2", "0.500", "0.500"]
    assert row(page, "unanswerable")[-3:] == ["1", "0.000", "0.000"]
    assert "F1 by threshold" in page.text
    assert "Vertical lines: current, at 0.000; best, at " in page.text
    assert "F1 0.333 (always “no answer”); this model: 0.333" in page.text


def test_choices_are_listed_with_the_gold_and_the_predicted_one(report):
    page = report("choice").page
    assert items(page) == [
        ("wrong", "sun predicted · 80.0%"),
        ("right", "an umbrella gold · 15.0%"),
        ("", "milk 5.0%"),
    ]
    assert "accuracy 0.417 (random choice); this model: 0.500" in page.text
    assert row(page, "3")[-4:] == ["3", "1", "0.000", "0.333"]
    assert "1 of 2 test questions was answered incorrectly" in page.text


def test_missed_and_superfluous_labels_are_distinguished(report):
    page = report("multilabel").page
    (verdict,) = page.all("p", "verdict")
    assert " ".join(verdict.text.split()) == "95.0% extra dark 95.0% missed loud 20.0%"
    assert "Scores by threshold" in page.text
    assert "Vertical line: current, at 0.500." in page.text
    assert row(page, "2")[-4:] == ["2", "1", "1", "1.000"]


def test_predicted_numbers_are_plotted_against_gold_and_the_largest_error_comes_first(report):
    page = report("regression").page
    assert "Largest errors" in page.text
    verdict = " ".join(page.all("p", "verdict")[0].text.split())
    assert verdict == "off by 5.000 predicted 5 gold 0"
    assert "60 points. On the line, both values are equal." in page.text
    assert "RMSE" in page.text
    assert "MCC of" not in page.text


def test_the_worst_query_is_shown_with_its_documents_in_predicted_order(report):
    page = report("ranking").page
    assert "nDCG@10 0.500 on 2 test queries" in page.text
    assert "fine-tuned for ranking on 14 pairs" in page.text
    assert [role for role, _ in items(page)] == ["wrong"] * 10 + ["right"]
    assert items(page)[-1][1].startswith("12. a page 11 grade 1")
    assert row(page, "11 or later")[-2:] == ["1", "0.500"]
    assert re.search(r"nDCG@10 0\.\d+ \(random order\); this model: 0\.500", page.text)


def test_a_text_that_was_not_retrieved_first_is_shown_below_those_ranked_higher(report):
    page = report("embeddings").page
    (verdict,) = page.all("p", "verdict")
    assert " ".join(verdict.text.split()) == "rank 3"
    assert [text for _, text in items(page)] == [
        "1. text 1 cosine 0.800",
        "2. text 0 cosine 0.600",
        "3. text 2 cosine -0.600",
    ]
    assert "Each query is compared with 3 texts." in page.text
    assert "Truncated vectors" in page.text


def test_the_pair_whose_rank_by_cosine_differs_most_from_its_gold_rank_comes_first(report):
    verdict = " ".join(report("likeness").page.all("p", "verdict")[0].text.split())
    assert verdict == "rank difference: 5 cosine -0.990, rank 6 gold 5, rank 1"


def test_a_masked_word_is_shown_with_its_prediction(report):
    page = report("language_modelling").page
    (verdict,) = page.all("p", "verdict")
    assert " ".join(verdict.text.split()) == "90.0% predicted wind masked fog 5.0%"
    assert "on 2 test masked words" in page.text


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("qa", {"f1_by_threshold_test", "calibration_test"}),
        ("choice", {"calibration_test"}),
        ("multilabel", {"scores_by_threshold_test", "calibration_test"}),
        ("regression", {"gold_and_predicted_test"}),
        ("ranking", {"queries_by_ndcg_10_test"}),
        ("likeness", {"gold_and_predicted_test"}),
    ],
)
def test_the_figures_of_a_task_are_saved_next_to_the_page(report, name, figures):
    saved = {path.stem for path in report(name).path.parent.glob("*.png")}
    assert saved - {"learning_curves", "token_lengths"} == figures


def test_empty_details_and_details_of_an_unknown_kind_are_omitted(tmp_path):
    details = fake_runs.binary_details() | {
        "tables": [{"title": "Nothing", "headings": ["a"], "rows": []}],
        "figures": [
            {"kind": "hologram", "title": "In three dimensions"},
            {"kind": "scatter", "title": "No points", "axes": ["x", "y"], "x": [None], "y": [1.0]},
            {
                "kind": "curve",
                "title": "中文",
                "axes": ["x", "y"],
                "series": {"": {"x": [0, 1], "y": [0, 1]}},
            },
            {
                "kind": "curve",
                "title": "中文",
                "axes": ["x", "y"],
                "series": {"": {"x": [0, 1], "y": [0, 1]}},
            },
        ],
    }
    run = fake_runs.write_run(tmp_path / "run", fake_runs.manifest(details={"test": details}), [])
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert [e.text for e in page.all("h3") if e.text == "中文"] == ["中文"] * 2
    for title in ("Nothing", "In three dimensions", "No points"):
        assert title not in page.text
    assert (run.path / "report" / "curve_test.png").is_file()
    assert (run.path / "report" / "curve_2_test.png").is_file()


def test_a_table_from_a_custom_task_is_escaped(tmp_path):
    rows = [["<img src=x>", 1234, 0.12345, None, "<b>"]]
    table = {"title": "</h3>", "headings": ["<i>", "b", "c", "d", "e"], "rows": rows, "note": "{{ 1 }}"}
    details = {"tables": [table]}
    run = fake_runs.write_run(tmp_path / "run", fake_runs.manifest(details={"test": details}), [])
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "<i> b c d e <img src=x> 1,234 0.123 – <b> {{ 1 }}" in page.text
    assert not page.all("img")


def test_many_labels_and_very_long_texts_keep_the_page_small(report, tmp_path):
    written = report("tokens")
    stored = json.loads((written.run.path / "predictions" / "test.mistakes.json").read_text())
    stored["shown"][0]["passages"][0]["text"] += " and so on" * 100_000
    (folder := tmp_path / "run").mkdir()
    run = fake_runs.write_run(folder / "long", written.run.manifest, [])
    (run.path / "predictions").mkdir()
    (run.path / "predictions" / "test.mistakes.json").write_text(json.dumps(stored))
    html = write_report(run).read_text(encoding="utf-8")
    assert "more characters)" in html
    assert len(html) < 500_000


def test_scores_that_do_not_apply_to_the_data_are_omitted_from_the_tables(report):
    pairs, scored = (report(name).page.text for name in ("embeddings", "likeness"))
    assert "spearman" not in pairs.split("Truncated vectors")[0]
    assert "recall@1" not in scored


def test_the_verdict_names_the_score_as_usual_and_a_baseline_that_is_as_good(report):
    (verdict,) = report("ranking").page.all("p", "conclusion")
    assert verdict.text.startswith("nDCG@10 is ")
    assert "random order is about as good: it has nDCG@10" in verdict.text


def test_the_examples_of_a_kind_of_error_are_different_texts():
    texts = ("one", "one", "two", "three", "four")
    shown = [{"passages": [{"text": text}], "kinds": ["a → b", "a → b"], "measure": 0.5} for text in texts]
    found = worded("test", {"num": 9, "num_wrong": 5, "kinds": {"a → b": 10}, "shown": shown})
    assert found is not None
    assert [text for _, text in found.kinds[0].examples] == ["one", "two", "three"]
