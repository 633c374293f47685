"""Curves, mistakes and wording, each on its own."""

import math

import pytest

from bertune.reporting.charts import MOST_BARS, Batches, score_by_batch, token_lengths
from bertune.reporting.curves import read_curves, smoothed, thinned
from bertune.reporting.mistakes import surest_mistakes
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


def course(*evaluations: tuple[float, float | None], kept: int | None = None):
    """Curves of ten steps per evaluation, each (training loss, validation loss)."""
    lines = []
    for number, (train, validation) in enumerate(evaluations, 1):
        for step in range(number * 10 - 9, number * 10 + 1):
            lines.append({"step": step, "epoch": step / 10, "loss": train, "lr": 1e-5})
        lines[-1]["validation"] = {"loss": validation, "mcc": 0.1 * number, "seconds": 1.0}
    return read_curves(lines, {"training": {"best": {"step": kept} if kept else None}, "primary": "mcc"})


@pytest.mark.parametrize(
    ("evaluations", "step"),
    [
        ([(0.6, 0.5), (0.4, 0.45), (0.3, 0.5), (0.2, 0.6)], 20),
        ([(0.6, 0.5), (0.4, 0.55)], 10),
        ([(0.6, 0.5), (0.4, 0.45), (0.3, 0.44)], None),  # still falling
        ([(0.6, 0.5), (0.4, 0.450), (0.3, 0.452)], None),  # less than noise
        ([(0.6, 0.5), (0.7, 0.9)], None),  # both rise: diverging, not over-fitting
        ([(0.6, 0.5), (0.4, 0.45), (0.35, 0.5), (0.3, 0.44)], None),  # it came down again
        ([(0.6, 0.5), (0.4, None), (0.3, 0.6)], 10),
        ([(0.6, 0.5)], None),
    ],
)
def test_over_fitting_begins_where_validation_loss_is_lowest_and_later_rises(evaluations, step):
    turn = course(*evaluations).overfitting
    assert (turn.step if turn else None) == step


def test_without_a_recorded_training_loss_the_mean_since_the_last_evaluation_is_shown():
    assert [e.train_loss for e in course((0.6, 0.5), (0.4, 0.3)).evaluations] == pytest.approx([0.6, 0.4])


def test_a_broken_off_epoch_has_no_end():
    curves = read_curves([{"step": i, "epoch": i / 10, "loss": 1.0, "lr": 0.1} for i in range(1, 15)], {})
    assert [(e.number, e.first, e.last, e.is_whole) for e in curves.epochs] == [
        (1, 1, 10, True),
        (2, 11, 14, False),
    ]


def test_a_folder_without_steps_has_no_curves():
    assert read_curves([], {}) is None


def test_smoothing_keeps_gaps_and_thinning_the_last_step():
    values = [1.0] * 300
    values[150] = math.nan
    assert [i for i, value in enumerate(smoothed(values)) if math.isnan(value)] == [150]
    assert smoothed(values)[149] == pytest.approx(1.0)
    assert thinned(list(range(1001)), most=400)[-1] == 1000
    assert len(thinned(list(range(1001)), most=400)) <= 400
    assert thinned([1, 2, 3]) == [1, 2, 3]


def test_the_first_step_without_a_finite_loss_is_named():
    curves = read_curves(
        [{"step": 1, "loss": 0.5}, {"step": 2, "loss": math.inf}, {"step": 3, "loss": None}], {}
    )
    assert curves.first_not_finite == 2


def test_scores_on_another_scale_are_left_out_of_the_score_panel():
    lines = [
        {
            "step": 1,
            "epoch": 1.0,
            "loss": 1.0,
            "validation": {"loss": 1, "mcc": 0.2, "mse": 7.0, "log_loss": 0.5},
        }
    ]
    assert list(read_curves(lines, {"primary": "mcc"}).score_series) == ["mcc"]


def prediction(sure: float, gold: str = "a", label: str = "b", **more):
    """One prediction."""
    return {
        "gold": gold,
        "label": label,
        "text": ["t"],
        "probabilities": {label: sure, gold: 1 - sure},
        **more,
    }


def test_equally_sure_mistakes_keep_the_order_of_the_file():
    found = surest_mistakes("test", [prediction(0.9, source=f"line {i}") for i in range(30)])
    assert [mistake.place for mistake in found.surest] == [f"line {i}" for i in range(20)]
    assert (found.num_wrong, found.num_texts) == (30, 30)


def test_predictions_without_gold_or_probabilities_are_no_mistakes():
    assert surest_mistakes("test", [{"label": "1.5", "gold": "2"}, prediction(0.9) | {"gold": None}]) is None


def test_very_many_batches_are_drawn_as_a_histogram():
    drawing = score_by_batch(Batches("mcc", 32, [i / 1000 for i in range(MOST_BARS + 1)], 0.05), "test")
    assert "batches" in drawing.wide
    assert "batch of 32 texts" in drawing.wide


def test_a_few_enormous_texts_do_not_flatten_the_length_figure():
    split = {"tokens": {"p99": 40}, "histogram": {"edges": [0, 20, 40, 10_000], "counts": [500, 490, 10]}}
    drawing = token_lengths({"train": split}, 512)
    assert "10,000" not in drawing.wide
    assert "max_length 512 is further right" in drawing.wide


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (decimal(-0.0213), "−0.021"),
        (decimal(None), "–"),
        (decimal(math.nan), "–"),
        (decimal({"value": 0.5, "low": 0.4, "high": 0.6}), "0.500"),
        (interval({"value": 0.5, "low": 0.4, "high": 0.6}), "0.400 to 0.600"),
        (interval({"value": 0.5, "low": None, "high": 0.6}), ""),
        (percent(1, 100_000), "< 0.1 %"),
        (percent(0, 0), "–"),
        (duration(41.23), "41.2 s"),
        (duration(192), "3 min 12 s"),
        (duration(7500), "2 h 5 min"),
        (magnitude(22_713_986), "22.7 million"),
        (magnitude(4_385), "4,385"),
        (score_name("macro_f1"), "macro F1"),
        (score_name("roc_auc"), "ROC AUC"),
        (visible(" "), "(empty)"),
        (visible("a\x00\nb"), "a\\x00\nb"),
        (plain("a\u202eb\ud83d  c"), "a b c"),
        (plain("x" * 40), "x" * 17 + "…"),
    ],
)
def test_numbers_and_texts_are_worded_for_a_reader(shown, expected):
    assert shown == expected
