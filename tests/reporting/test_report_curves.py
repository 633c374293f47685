"""Unit tests of curves, error lists and number formatting."""

import math

import pytest

from bertune.errors import counted
from bertune.manifest import ManifestRecord
from bertune.manifest.data import SplitRecord
from bertune.manifest.details import Interval
from bertune.reporting.charts import MOST_BARS, Batches, score_by_batch, token_lengths
from bertune.reporting.curves import read_curves, smoothed, thinned
from bertune.reporting.headline import headline
from bertune.reporting.mistakes import AROUND, worded
from bertune.reporting.sections import balance_table
from bertune.reporting.wording import (
    decimal,
    duration,
    interval,
    magnitude,
    percent,
    plain,
    score_name,
    visible,
)


def manifest_record(**recorded):
    """A manifest with only the given entries."""
    return ManifestRecord(format=3, **recorded)


def course(*evaluations: tuple[float, float | None], kept: int | None = None):
    """Curves with ten steps per evaluation, each given as (training loss, validation loss)."""
    lines = []
    for number, (train, validation) in enumerate(evaluations, 1):
        for step in range(number * 10 - 9, number * 10 + 1):
            lines.append({"step": step, "epoch": step / 10, "loss": train, "lr": 1e-5})
        lines[-1]["validation"] = {"loss": validation, "mcc": 0.1 * number, "seconds": 1.0}
    best = {"step": kept} if kept else None
    return read_curves(lines, manifest_record(training={"best": best}, primary="mcc"))


@pytest.mark.parametrize(
    ("evaluations", "step"),
    [
        ([(0.6, 0.5), (0.4, 0.45), (0.3, 0.5), (0.2, 0.6)], 20),
        ([(0.6, 0.5), (0.4, 0.55)], 10),
        ([(0.6, 0.5), (0.4, 0.45), (0.3, 0.44)], None),  # still falling
        ([(0.6, 0.5), (0.4, 0.450), (0.3, 0.452)], None),  # a rise within noise
        ([(0.6, 0.5), (0.7, 0.9)], None),  # both rise: divergence, not overfitting
        ([(0.6, 0.5), (0.4, 0.45), (0.35, 0.5), (0.3, 0.44)], None),  # falls again later
        ([(0.6, 0.5), (0.4, None), (0.3, 0.6)], 10),
        ([(0.6, 0.5)], None),
    ],
)
def test_overfitting_begins_at_the_minimum_of_a_validation_loss_that_rises_later(evaluations, step):
    turn = course(*evaluations).overfitting
    assert (turn.step if turn else None) == step


def test_without_a_recorded_training_loss_the_mean_since_the_last_evaluation_is_shown():
    assert [e.train_loss for e in course((0.6, 0.5), (0.4, 0.3)).evaluations] == pytest.approx([0.6, 0.4])


def test_an_unfinished_epoch_is_not_whole():
    lines = [{"step": i, "epoch": i / 10, "loss": 1.0, "lr": 0.1} for i in range(1, 15)]
    curves = read_curves(lines, manifest_record())
    assert [(e.number, e.first, e.last, e.is_whole) for e in curves.epochs] == [
        (1, 1, 10, True),
        (2, 11, 14, False),
    ]


def test_a_run_without_steps_has_no_curves():
    assert read_curves([], manifest_record()) is None


def test_smoothing_keeps_gaps_and_thinning_keeps_the_last_step():
    values = [1.0] * 300
    values[150] = math.nan
    assert [i for i, value in enumerate(smoothed(values)) if math.isnan(value)] == [150]
    assert smoothed(values)[149] == pytest.approx(1.0)
    assert thinned(list(range(1001)), most=400)[-1] == 1000
    assert len(thinned(list(range(1001)), most=400)) <= 400
    assert thinned([1, 2, 3]) == [1, 2, 3]


def test_the_first_step_without_a_finite_loss_is_named():
    lines = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": math.inf}, {"step": 3, "loss": None}]
    curves = read_curves(lines, manifest_record())
    assert curves.first_not_finite == 2


def test_scores_on_a_different_scale_are_omitted_from_the_score_panel():
    lines = [
        {
            "step": 1,
            "epoch": 1.0,
            "loss": 1.0,
            "validation": {"loss": 1, "mcc": 0.2, "mse": 7.0, "log_loss": 0.5},
        }
    ]
    assert list(read_curves(lines, manifest_record(primary="mcc")).score_series) == ["mcc"]


def recorded(*texts: str, marks: tuple[dict[str, object], ...] = (), **more):
    """A stored error list with one error per text."""
    shown = [
        {"id": "", "source": f"line {i}", "measure": 0.5, "passages": [{"text": t, "marks": list(marks)}]}
        for i, t in enumerate(texts)
    ]
    return {"num": 30, "num_wrong": len(texts), "what": "were wrong", "unit": "query", "shown": shown, **more}


def test_the_number_of_errors_is_reported_in_the_terms_of_the_task():
    sentence = worded("test", recorded("a", "b", order="Sorted by length")).sentence
    assert sentence == "2 of 30 test queries were wrong. Sorted by length; some may be labelling errors."
    assert worded("test", recorded()).sentence == "None of the 30 test queries were wrong."
    assert worded("test", recorded(num=0)) is None


@pytest.mark.parametrize(
    ("what", "one_of_several", "none_of_one"),
    [
        ("were wrong", "1 of 30 test queries was wrong.", "The only test query was not wrong."),
        ("have errors", "1 of 30 test queries has errors.", "The only test query does not have errors."),
    ],
)
def test_the_number_of_errors_agrees_with_its_verb(what, one_of_several, none_of_one):
    assert worded("test", recorded("a", what=what)).sentence.startswith(one_of_several)
    assert worded("test", recorded(what=what, num=1)).sentence == none_of_one


def test_outputs_that_are_not_counted_are_not_in_the_label_distribution():
    """The outputs of token classification are tags, but entity types are counted."""
    split = SplitRecord.model_validate({"rows": 2, "labels": {"PER": 3, "LOC": 1}})
    of_tags = manifest_record(labels=["O", "B-LOC", "B-PER"], data={"splits": {"train": split}})
    of_classes = manifest_record(labels=["LOC", "PER"], data={"splits": {"train": split}})
    assert [row[0].text for row in balance_table(of_tags).rows] == ["PER", "LOC"]
    assert [row[0].text for row in balance_table(of_classes).rows] == ["LOC", "PER"]


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (None, ("Best checkpoint", "step 9 of 9, highest validation MCC (0.500)")),
        (0.5, ("Selected checkpoint", "step 9 of 9, validation MCC (0.500); the same as at step 3")),
        (
            0.6,
            (
                "Selected checkpoint",
                "step 9 of 9, validation MCC (0.500); the highest, 0.600 at step 3, is within the noise",
            ),
        ),
    ],
)
def test_the_checkpoint_is_the_best_only_if_no_other_has_a_higher_score(top, expected):
    best = {"step": 9, "score": "mcc", "value": 0.5, "top_step": 3 if top else 9, "top_value": top or 0.5}
    made = headline(manifest_record(primary="mcc", training={"total_steps": 9, "best": best}), None)
    assert expected in made.facts


def test_the_excerpt_of_a_long_text_shows_marked_spans_with_context():
    text = "word " * 1000 + "HERE" + " word" * 1000
    mark = {"start": 5000, "end": 5004, "role": "missed", "label": "PER"}
    (shown,) = worded("test", recorded(text, marks=(mark,))).shown
    (passage,) = shown.texts
    opening = "".join(piece.text for piece in passage.opening)
    assert "HERE" in opening
    assert len(opening) < 2 * AROUND + 100
    assert [(piece.text, piece.roles, piece.tags) for piece in passage.opening if piece.roles] == [
        ("HERE", "missed", (("missed", "gold PER"),))
    ]
    assert "".join(piece.text for piece in passage.whole) == text


def test_overlapping_marks_are_both_shown():
    marks = (
        {"start": 0, "end": 8, "role": "wrong", "label": "ORG"},
        {"start": 4, "end": 12, "role": "missed", "label": "PER"},
    )
    (shown,) = worded("test", recorded("New York Times here", marks=marks)).shown
    pieces = [(piece.text, piece.roles) for piece in shown.texts[0].opening]
    assert pieces == [("New ", "wrong"), ("York", "missed wrong"), (" Tim", "missed"), ("es here", "")]


@pytest.mark.parametrize(
    ("value", "more", "lead"),
    [
        (0.987, {"is_probability": True}, "98.7%"),
        (3, {"measure": "errors: {}"}, "errors: 3"),
        (1.25, {"measure": "off by {}"}, "off by 1.250"),
        (None, {"measure": "F1 {}"}, "F1 –"),
        (math.nan, {"is_probability": True}, "–"),
    ],
)
def test_the_measure_of_an_error_is_formatted_by_its_kind(value, more, lead):
    stored = recorded("a", **more)
    stored["shown"][0]["measure"] = value
    assert worded("test", stored).shown[0].lead == lead


def test_very_many_batches_are_drawn_as_a_histogram():
    drawing = score_by_batch(Batches("mcc", 32, [i / 1000 for i in range(MOST_BARS + 1)], 0.05), "test")
    assert "batches" in drawing.wide
    assert "batch of 32 texts" in drawing.wide


def test_a_few_very_long_texts_do_not_flatten_the_length_figure():
    split = {"tokens": {"p99": 40}, "histogram": {"edges": [0, 20, 40, 10_000], "counts": [500, 490, 10]}}
    drawing = token_lengths({"train": SplitRecord(**split)}, 512)
    assert "10,000" not in drawing.wide
    assert "max_length 512 is beyond this axis" in drawing.wide


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (decimal(-0.0213), "−0.021"),
        (decimal(None), "–"),
        (decimal(math.nan), "–"),
        (decimal(Interval(value=0.5, low=0.4, high=0.6)), "0.500"),
        (interval(Interval(value=0.5, low=0.4, high=0.6)), "0.400 to 0.600"),
        (interval(Interval(value=0.5, low=None, high=0.6)), ""),
        (percent(1, 100_000), "< 0.1%"),
        (percent(0, 0), "–"),
        (duration(41.23), "41.2 s"),
        (duration(192), "3 min 12 s"),
        (duration(7500), "2 h 5 min"),
        (magnitude(22_713_986), "22.7 million"),
        (magnitude(4_385), "4,385"),
        (score_name("macro_f1"), "macro F1"),
        (score_name("roc_auc"), "ROC AUC"),
        (score_name("ndcg@10"), "nDCG@10"),
        (counted(1, "query"), "1 query"),
        (counted(2, "query"), "2 queries"),
        (counted(0, "batch"), "0 batches"),
        (visible(" "), "(empty)"),
        (visible("a\x00\nb"), "a\\x00\nb"),
        (plain("a\u202eb\ud83d  c"), "a b c"),
        (plain("x" * 40), "x" * 17 + "…"),
    ],
)
def test_numbers_and_texts_are_formatted_for_display(shown, expected):
    assert shown == expected
