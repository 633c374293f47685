"""The comparison over paired seeds: rules for checkpoints, the page, and the steps of `bertune train`."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from small_texts import labelled_texts
from trainings import train

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = ("checkpoint_rules", "paired_page", "paired_seeds", "paired_sets", "paired_sides", "quality_page")


@pytest.fixture(scope="module", autouse=True)
def found_by_name() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def rules() -> ModuleType:
    return importlib.import_module("checkpoint_rules")


def course(rules: ModuleType, right: list[list[bool]], test: list[float] | None = None) -> Any:
    """A training whose evaluations predicted these rows correctly."""
    correct = np.array(right)
    return rules.Course(
        validation=correct.mean(1).tolist(),
        test=test or [0.0] * len(right),
        correct_EN=correct,
        gold_N=None,
    )


def rows(number: int, of: int = 200) -> list[bool]:
    return [i < number for i in range(of)]


def kept(rules: ModuleType, name: str, given: Any) -> int:
    position: int = rules.RULES[name](given, np.random.default_rng(1))
    return position


def test_the_best_evaluation_is_the_first_of_equals_and_the_last_is_the_last(rules: ModuleType) -> None:
    given = course(rules, [rows(100), rows(150), rows(150), rows(140)])
    assert (kept(rules, "best", given), kept(rules, "last", given)) == (1, 3)


@pytest.mark.parametrize("kind", ["last unless best wins", "later unless earlier wins"])
def test_an_earlier_evaluation_is_kept_only_if_it_is_better_by_more_than_the_noise(
    rules: ModuleType, kind: str
) -> None:
    little = course(rules, [rows(151), [not right for right in rows(50)]])  # 151, then 150 others
    much = course(rules, [rows(180), rows(150)])
    for level in rules.LEVELS:
        assert kept(rules, f"{kind} {level:g}", little) == 1
        assert kept(rules, f"{kind} {level:g}", much) == 0


def test_the_share_of_resamples_won_is_one_a_half_or_none(rules: ModuleType) -> None:
    random = np.random.default_rng(1)
    given = course(rules, [rows(150), rows(150), rows(0)])
    shares = [rules.share_won(given, one, other, random) for one, other in ((0, 1), (0, 2), (2, 0))]
    assert shares == [0.5, 1.0, 0.0]


def test_what_a_rule_chooses_is_judged_by_the_test_score(rules: ModuleType) -> None:
    given = course(rules, [rows(180), rows(150)], test=[0.3, 0.4])
    found = rules.chosen_scores([given])
    assert (found["best"], found["last"], found["oracle"]) == ([0.3], [0.4], [0.4])


def test_scores_of_resamples_are_those_of_scikit_learn(rules: ModuleType) -> None:
    random = np.random.default_rng(2)
    gold, right = random.random(60) < 0.3, random.random(60) < 0.8
    counts = np.array([[[((gold == g) & (right == r)).sum() for r in (0, 1)] for g in (0, 1)]])
    expected = matthews_corrcoef(gold, np.where(right, gold, ~gold))
    assert rules.matthews(counts)[0] == pytest.approx(expected)
    assert rules.accuracy(counts)[0] == pytest.approx(right.mean())
    assert rules.matthews(np.array([[[0, 5], [7, 0]]]))[0] == 0, "one label is always predicted"


def test_bits_are_packed_and_unpacked(rules: ModuleType) -> None:
    bits = np.array(rows(5, of=13))
    assert rules.unpacked_bits(rules.packed_bits(bits), 13).tolist() == bits.tolist()


def test_the_evaluations_are_those_of_a_run(
    settings: Callable[..., dict[str, Any]], tiny_weights: Path, tmp_path: Path
) -> None:
    sets, sides = (importlib.import_module(name) for name in ("paired_sets", "paired_sides"))
    items = [((text,), label) for text, label in labelled_texts(60)]
    recipe = sets.Recipe(epochs=2, batch_size=8, lr=1e-3, max_length=32)
    chosen = sets.PairedSet("", "mcc", lambda data: items, lambda data: items, recipe)
    machine = {"device": "cpu", "precision": "fp32"}
    prepared = sides.prepared_rows(chosen, items, items[:9], tiny_weights, 5, machine)
    found = sides.train_bertune(prepared)

    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in sets.as_table(items)), encoding="utf-8")
    changes = {"model.max_length": 32, "train.seed": 5, "data.text": "text", "data.label": "label"}
    run, _ = train(file, tmp_path / "run", settings(**changes))
    lines = [line["validation"] for line in run.metrics() if "validation" in line]
    assert [e["validation"]["loss"] for e in found] == pytest.approx([v["loss"] for v in lines], abs=1e-6)
    assert [e["validation"]["mcc"] for e in found] == pytest.approx([v["mcc"] for v in lines], abs=1e-6)
    assert len(sides.rows_of(prepared).train) == 54


def test_the_page_says_where_the_whole_interval_lies_below_zero(rules: ModuleType) -> None:
    page = importlib.import_module("paired_page")
    pairs = [
        {
            "set": "rte", "seed": seed, "validation_rows": 200, "gold": None, "device": "a CPU",
            "precision": "fp32",
            "peer": {"accuracy": 0.7, "mcc": 0.4},
            "bertune": [
                {"step": step, "correct": rules.packed_bits(np.array(rows(number))),
                 "validation": {"accuracy": number / 200}, "test": {"accuracy": 0.6 + seed / 1000}}
                for step, number in ((1, 150), (2, 160))
            ],
        }
        for seed in (1, 2, 3)
    ]  # fmt: skip
    text = page.page({"pairs": pairs, "environments": []})
    (line,) = [line for line in text.splitlines() if line.startswith("| rte | accuracy | 3")]
    assert "0.7000 ± 0.0000" in line and "-0.0980" in line and line.endswith("| wholly below zero |")


def test_the_stored_page_is_that_of_the_stored_results() -> None:
    page = importlib.import_module("paired_page")
    stored = json.loads((BENCHMARKS / "results" / "paired_seeds.json").read_text(encoding="utf-8"))
    written = (BENCHMARKS / "quality_paired.md").read_text(encoding="utf-8")
    assert written == page.page(stored), "write it anew: python benchmarks/paired_seeds.py --render"
