"""The page of the comparison over paired seeds, made of the stored results and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from checkpoint_rules import RULES, Course, chosen_scores, unpacked_bits
from paired_sets import SETS
from quality_page import Difference, mean_and_deviation, paired_difference

PLANNED = 10  # seeds of each set, as planned before the first was trained
READING = (
    "Mean ± standard deviation of the test score over seeds. The difference is bertune minus the Trainer, "
    "paired by seed, with the 95% t-interval of its mean. Each interval is for one set: with six sets and "
    "no difference at all, one run of this comparison in four has an interval without zero. Both sides train "
    "on the same rows (bertune holds out a tenth for validation, and the Trainer is given the rest), for the "
    "same number of steps, with the same batch size, peak learning rate, schedule, weight decay, clipping, "
    "dropout and initial weights. The order of the rows and the dropout masks differ. Without dropout and in "
    "the same order, both sides take the same steps (`tests/contracts/test_beside_the_trainer.py`); with the "
    "same dropout masks, they compute the same gradients (`tests/nn/test_dropout_gradients.py`). The last "
    "weights are scored, once."
)
RULES_READING = (
    "The same trainings of bertune, evaluated after every epoch. Each rule chooses one evaluation by its "
    "validation rows; the table shows the mean test score of the choice, and below it the mean difference to "
    "`best` with its 95% t-interval over seeds (of all sets together: over the seeds' means of all sets). "
    "`last unless best wins 0.9`: the last evaluation, unless the best one scores higher in 90% of paired "
    "bootstrap samples of the validation rows, ties counted half. `later unless earlier wins 0.9`: the same "
    "test at every evaluation, against the one kept so far. `oracle` looks at the test score: no rule can be "
    "better."
)

Pair = dict[str, Any]


def by_set(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The stored pairs of each set, in the order of their seeds."""
    found: dict[str, list[Pair]] = {name: [] for name in SETS}
    for pair in sorted(pairs, key=lambda p: int(p["seed"])):
        found[pair["set"]].append(pair)
    return {name: of_set for name, of_set in found.items() if of_set}


def last_scores(pairs: Sequence[Pair], metric: str) -> tuple[dict[int, float], dict[int, float]]:
    """The test score of the last weights by seed: the Trainer's and bertune's."""
    peer = {p["seed"]: p["peer"][metric] for p in pairs}
    bertune = {p["seed"]: p["bertune"][-1]["test"][metric] for p in pairs}
    return peer, bertune


def course_of(pair: Pair, metric: str) -> Course:
    """A stored training as the rules see it."""
    rows = pair["validation_rows"]
    gold = pair["gold"]
    return Course(
        validation=[e["validation"][metric] for e in pair["bertune"]],
        test=[e["test"][metric] for e in pair["bertune"]],
        correct_EN=np.stack([unpacked_bits(e["correct"], rows) for e in pair["bertune"]]),
        gold_N=None if gold is None else unpacked_bits(gold, rows),
    )


def verdict(difference: Difference | None) -> str:
    """Where the interval lies."""
    if difference is None:
        return "unknown"
    if difference.below:
        return "wholly below zero"
    return "wholly above zero" if difference.mean > difference.half_interval else "includes zero"


def quality_table(found: Mapping[str, list[Pair]]) -> list[str]:
    """The Markdown lines of both sides' scores."""
    lines = [
        "| set | score | seeds | HF Trainer | bertune | difference | 95% interval | the interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, pairs in found.items():
        metric = SETS[name].metric
        peer, bertune = last_scores(pairs, metric)
        difference = paired_difference(peer, bertune)
        shown = difference.cells() if difference else ["-", "-"]
        sides = [mean_and_deviation(side.values()).split(" (")[0] for side in (peer, bertune)]
        cells = [name, metric, str(len(pairs)), *sides, *shown, verdict(difference)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def later_seeds(found: Mapping[str, list[Pair]]) -> list[str]:
    """A paragraph for each set with more than the planned seeds: their differences, and those of the rest."""
    lines = []
    for name, pairs in found.items():
        planned = [pair for pair in pairs if pair["seed"] <= PLANNED]
        later = [pair for pair in pairs if pair["seed"] > PLANNED]
        if later:
            metric = SETS[name].metric
            first, second = (paired_difference(*last_scores(of, metric)) for of in (planned, later))
            numbers = [" (".join(d.cells()[:2]) + ")" if d else "unknown" for d in (first, second)]
            lines += [
                f"On {name}, seeds 1 to {PLANNED} have a difference of {numbers[0]}. This interval was "
                f"chosen as the lowest of six. {len(later)} later seeds, announced before they were trained, "
                f"have {numbers[1]}. The table includes all of them.",
                "",
            ]
    return lines


def rules_table(found: Mapping[str, list[Pair]]) -> list[str]:
    """The Markdown lines of the rules: mean test scores, then differences to `best`."""
    scores = {
        name: chosen_scores([course_of(pair, SETS[name].metric) for pair in pairs])
        for name, pairs in found.items()
    }
    rules = [*RULES, "oracle"]
    lines = [f"| set | {' | '.join(rules)} |", "|---" * (len(rules) + 1) + "|"]
    for name, of_set in scores.items():
        cells = [f"{statistics.fmean(of_set[rule]):.4f}" for rule in rules]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "Difference to `best`:", "", *lines[:2]]
    for name, of_set in scores.items():
        cells = [shown_difference(of_set["best"], of_set[rule]) for rule in rules]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    seeds = min(len(of_set["best"]) for of_set in scores.values())
    means = {
        rule: [statistics.fmean(s[rule][i] for s in scores.values()) for i in range(seeds)] for rule in rules
    }
    cells = [shown_difference(means["best"], means[rule]) for rule in rules]
    return [*lines, f"| all sets | {' | '.join(cells)} |"]


def shown_difference(reference: Sequence[float], found: Sequence[float]) -> str:
    """The mean paired difference and half its 95% interval."""
    difference = paired_difference(dict(enumerate(reference)), dict(enumerate(found)))
    if difference is None:
        return "-"
    return f"{difference.mean:+.4f} ± {difference.half_interval:.4f}"


def short_section(results: Mapping[str, Any]) -> str:
    """The scores of both sides as a section of quality.md."""
    lines = [
        "## Paired seeds on the same rows",
        "",
        "bertune and the transformers Trainer, trained on the same rows for the same number of steps from "
        "the same initial weights, and evaluated once at the end. The difference is bertune minus the "
        "Trainer, with the 95% t-interval of its mean. "
        "[quality_paired.md](quality_paired.md) has the recipes, the environments and the effect of choosing "
        "a checkpoint.",
        "",
        *quality_table(by_set(results["pairs"])),
        "",
    ]
    return "\n".join(lines)


def page(results: Mapping[str, Any]) -> str:
    """The whole page in Markdown."""
    found = by_set(results["pairs"])
    lines = ["# Quality over paired seeds: bertune and the transformers Trainer", "", READING, ""]
    lines += [*quality_table(found), "", *later_seeds(found)]
    lines += ["## Sets and recipes", "", *recipe_lines(found), ""]
    lines += ["## Which checkpoint to keep", "", RULES_READING, "", *rules_table(found), ""]
    lines += ["## Where and how", ""]
    devices = sorted({f"{pair['device']} in {pair['precision']}" for pair in results["pairs"]})
    lines += [f"Trained on {', '.join(devices)}.", ""]
    for environment in results["environments"]:
        lines += [*environment_lines(environment), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def environment_lines(environment: Mapping[str, Any]) -> list[str]:
    """One run of the driver: machine, versions, remark and command."""
    machine, versions = environment["machine"], environment["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"- {machine['cpu']}, {machine['cores']} cores, {machine['system']}: {named}"]
    if environment.get("note"):
        lines.append(f"- {environment['note']}")
    return [*lines, "", "```", environment["command"], "```"]


def recipe_lines(found: Mapping[str, list[Pair]]) -> list[str]:
    """What each set is and how it is trained, as a Markdown list."""
    lines = []
    for name in found:
        recipe, about = SETS[name].recipe, SETS[name].about
        encoder = "all-MiniLM-L6-v2" if recipe.encoder == "minilm" else "4 layers of 256, random weights"
        lines.append(
            f"- {name}: {about}. {encoder}, {recipe.epochs} epochs, batches of {recipe.batch_size}, learning "
            f"rate {recipe.lr:g}, at most {recipe.max_length} tokens."
        )
    return lines
