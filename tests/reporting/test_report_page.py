"""The content of the page."""

import base64
import hashlib
import re

import fake_runs
import pytest
import task_runs
from page_reader import Page

from bertune.reporting.write import write_report

NAMES = [make.__name__ for make in (*fake_runs.EVERY_RUN, *task_runs.EVERY_RUN)]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_no_external_references_and_only_its_own_script(report, name):
    page = report(name).page
    assert not page.all("link") + page.all("iframe") + page.all("base")
    scripts = [element.text for element in page.all("script")]
    assert len(scripts) <= 1
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in page.html
    for element in page.elements:
        for key, value in element.attributes.items():
            assert not key.startswith("on"), f"{element.tag} has a handler: {key}"
            if key in ("href", "src", "xlink:href", "srcset", "action"):
                assert str(value).startswith(("#", "data:image/png;base64,")), f"{key}={value}"
            for place in re.findall(r"url\(([^)]*)\)", str(value)):
                assert place.startswith("#")
    assert "http:" not in page.html
    assert "https:" not in page.html
    assert "@import" not in page.html


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_every_reference_resolves(report, name):
    page = report(name).page
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    targets = {
        str(e.attributes["href"])[1:] for e in page.elements if str(e.attributes.get("href")).startswith("#")
    }
    clips = set(re.findall(r"url\(#([^)]+)\)", page.html))
    assert targets | clips <= set(ids)


def test_hostile_texts_are_escaped(report):
    page = report("binary").page
    shown = [element.text for element in page.all("bdi")]
    for text in fake_runs.HOSTILE[:4]:
        assert text in shown
    assert r"an emoji 😀 and 中文 and a \x00 control \x1b[31m character" in shown
    assert "half of a pair ?" in shown
    assert not page.all("img")


def test_hostile_labels_are_escaped_in_tables_and_figures(report):
    shown = {element.text for element in report("many_labels").page.all("bdi")}
    assert {"<b>", "a_$x$_b", "$\\alpha$", "🤖", "</svg>", "(empty)", "٣ عربي"} <= shown


def test_a_label_with_dollar_signs_is_not_a_formula_in_a_figure(tmp_path):
    labels = ["$\\alpha$", "a_$x$_b", "<i>"]
    recorded = fake_runs.manifest(details={"test": fake_runs.many_details(labels)})
    page = Page(write_report(fake_runs.write_run(tmp_path / "run", recorded, [])).read_text(encoding="utf-8"))
    assert {"$\\alpha$", "a_$x$_b", "<i>"} <= {element.text for element in page.all("bdi")}


def test_figures_use_the_page_colours_and_so_follow_dark_mode(report):
    page = report("binary").page
    in_figures = [str(e.attributes.get("style")) for e in page.elements if e.tag in ("path", "text", "g")]
    assert any("var(--accent)" in style for style in in_figures)
    assert not any(re.search("#[0-9a-f]{6}", style) for style in in_figures)


def test_the_headline_is_the_primary_score_with_its_split_size_baseline_and_checkpoint(report):
    text = report("binary").page.text
    assert "Matthews correlation (MCC) 0.225 95% interval 0.140 to 0.310 on 516 test texts" in text
    assert "Validation MCC 0.410 on 527 texts" in text
    assert "step 804 of 1,072 (epoch 3.0), highest validation MCC (0.410)" in text
    assert "accuracy 0.686 (always the most frequent label, “1”); this model: 0.706" in text


def test_without_a_test_split_the_headline_says_that_validation_also_selected_the_checkpoint(report):
    text = report("four_labels").page.text
    assert "macro F1 0.583 on 200 validation texts, which also selected the checkpoint" in text


def test_three_snippets_show_how_to_use_the_run(report):
    written = report("binary")
    commands = [element.text for element in written.page.all("pre")]
    assert commands[0] == f"bertune predict {written.run.path} new.tsv"
    assert commands[1] == f"bertune evaluate {written.run.path} labelled.tsv"
    assert f"bt.load({str(written.run.path)!r})" in commands[2]
    assert "model.predict([(a, b)])" in report("four_labels").page.all("pre")[2].text


def test_an_interrupted_run_shows_the_best_score_so_far_and_how_to_resume(report):
    written = report("interrupted")
    text = written.page.text
    assert f"bertune train {written.run.path} --resume" in text
    assert "0.210 best so far, on 527 validation texts at step 268" in text
    assert "400 of 1,072 steps (1.49 epochs)" in text
    assert [heading.text for heading in written.page.all("h2")] == [
        "Use this run",
        "Training",
        "Data",
        "Model",
        "Settings and environment",
    ]


def test_a_run_without_finite_numbers_reports_it(report):
    text = report("all_null").page.text
    assert "undefined on 516 test texts" in text
    assert "The model has collapsed: it predicts “0” for every text." in text
    assert "The training loss was not finite: first at step 1." in text
    assert "No step had a finite loss" in text
    assert "nan" not in text.lower()
    assert "None" not in text


def test_texts_shared_by_two_splits_cause_a_warning(report):
    assert "Splits share texts: 3 in both train and validation." in report("binary").page.text


def test_a_recorded_warning_is_not_repeated_from_the_numbers(tmp_path, report):
    recorded = fake_runs.manifest(warnings=["train: 37 of 8,551 texts (0.4%) are truncated"])
    recorded["data"]["splits"]["train"]["truncated"] = 37
    run = fake_runs.write_run(tmp_path / "warned", recorded, [])
    callouts = [e.text for e in Page(write_report(run).read_text(encoding="utf-8")).all("p", "callout")]
    assert [text for text in callouts if "runcated" in text] == [
        "Warning: train: 37 of 8,551 texts (0.4%) are truncated."
    ]
    recorded["warnings"] = []
    run = fake_runs.write_run(tmp_path / "unwarned", recorded, [])
    callouts = [e.text for e in Page(write_report(run).read_text(encoding="utf-8")).all("p", "callout")]
    assert "Truncated texts: 37 of 8,551 train texts (0.4%) are truncated to 47 tokens." in callouts


def test_overfitting_is_marked_where_the_validation_loss_turns(report):
    page = report("binary").page
    assert "Overfitting begins after step 536" in page.text
    assert [e.text for e in page.all("text")].count("overfitting begins") == 2  # wide and narrow
    assert "verfitting" not in report("four_labels").page.html


def test_the_evaluation_table_marks_the_best_step(report):
    marked = [" ".join(row.text.split()) for row in report("binary").page.all("tr", "marked")]
    assert marked[0].startswith("best 804 3.00 0.3")
    assert len(marked) == 2  # the other is the primary score's row


def test_the_most_confident_errors_are_listed_by_confidence_with_their_source(report):
    page = report("binary").page
    shown = [float(e.text.removesuffix("%")) for e in page.all("span", "measure")]
    assert len(shown) == 179
    assert shown == sorted(shown, reverse=True)
    assert page.all("p", "place")[0].text == "out_of_domain_dev.tsv, line 1 · id row-0"
    assert "179 of 516 test texts were misclassified." in page.text
    assert "159 more errors" in page.text  # folded without scripts


def test_a_long_text_is_folded_but_complete(report):
    folded = [e for e in report("binary").page.all("details", "text") if "50,000 characters" in e.text]
    assert len(folded) == 1
    assert folded[0].text.count("word") > 10_000


def test_a_run_without_errors_says_so(tmp_path):
    right = [line | {"label": line["gold"]} for line in fake_runs.predictions(30)]
    run = fake_runs.write_run(tmp_path / "run", fake_runs.manifest(), [], {"test": right})
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "None of the 30 test texts were misclassified." in page.text


def test_the_variation_of_the_score_between_batches_is_described(report):
    text = report("binary").page.text
    assert "On batches of 32 test texts, MCC ranges from 0.04 to 0.56" in text
    assert "On all texts together it is 0.225. It is undefined on 1 batch." in text


def test_many_labels_are_sorted_by_f1_and_their_most_frequent_confusions_listed(report):
    page = report("many_labels").page
    assert "Scores per label on the test texts, lowest F1 first" in page.text
    assert "Most frequent confusions" in page.text
    assert not page.all("table", "matrix")
    assert len(page.html) < 1_000_000


def test_the_parameters_of_each_block_add_up(report):
    text = report("binary").page.text
    assert "embeddings frozen 11,929,344 52.5%" in text
    assert "total 47.5% trained 22,724,738 100.0%" in text


def test_splits_are_listed_in_order_with_label_distribution_and_lengths(report):
    text = report("binary").page.text
    assert "split source rows share exact duplicates train /data/cola/train.tsv" in text
    assert "label train validation test 0 2,528 29.6% 162 30.7% 162 31.4%" in text
    assert "train 4 11 17 20 27 47 11.3 0 0.0%" in text
    assert "max_length is 47: the longest text has 47 tokens; nothing is truncated" in text


def test_settings_and_environment_are_folded(report):
    folded = [element.text for element in report("binary").page.all("details")]
    assert any("batch_size = 32" in text for text in folded)
    assert any("AMD EPYC 7B13" in text and "train time" in text and "1,500 MB" in text for text in folded)


def test_the_page_of_ten_thousand_rows_with_long_texts_stays_below_3_mb(tmp_path):
    lines = [line | {"text": [line["text"][0] * 20]} for line in fake_runs.predictions(10_000)]
    run = fake_runs.write_run(tmp_path / "run", fake_runs.manifest(), [], {"test": lines})
    assert write_report(run).stat().st_size < 3_000_000
