"""How many likely label errors of multi-label data are listed, and how many of them are wrong.

5 % of the rows get a wrong label: one more, one less, or another one. A linear model on the vectors of the
frozen encoder predicts each row out of fold; it is weak if it sees few rows and is strongly regularized. The
lists are those of bertune, and of two filters of cleanlab for multi-label data, from the same probabilities.
The texts of CLINC150, of which one to three are joined, have clean labels, so that other listed rows are
mistakes of the model. GoEmotions has many label errors of its own, so its precision is a lower bound. Needs
BERTUNE_DATA and cleanlab.

    BERTUNE_DATA=DATA python benchmarks/label_error_sets.py
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.multilabel_classification.filter import find_label_issues
from label_errors import vectors
from results_blocks import replace_block
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from bertune.metrics.label_errors import judge_sets

PLANTED = 0.05
SEED = 1
RESULT = Path(__file__).parent / "results" / "label_error_sets.json"
STRENGTHS = {"weak": (3_000, 1e-3), "strong": (6_000, 1e-2)}  # rows, C of the logistic regression
ABOUT = {
    "CLINC150": "CLINC150 stands for one to three joined texts of 25 intents, whose other labels are right",
    "GoEmotions": "GoEmotions has many errors of its own, which count as wrong here",
}
FILTERS = {"cleanlab": "prune_by_noise_rate", "cleanlab: confident learning": "confident_learning"}


def goemotions(num: int) -> tuple[list[str], Any]:
    """Texts of GoEmotions with their 28 labels, [N, 28] of bool."""
    path = Path(os.environ["BERTUNE_DATA"]) / "goemotions" / "train.tsv"
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = [lines[at] for at in np.random.default_rng(SEED).permutation(len(lines))[:num]]
    given = np.zeros((num, 28), bool)
    for row, (_, labels, _) in enumerate(chosen):
        given[row, [int(label) for label in labels.split(",")]] = True
    return [text for text, _, _ in chosen], given


def joined_clinc(num: int) -> tuple[list[str], Any]:
    """One to three joined texts of 25 intents of CLINC150, [N, 25] of bool."""
    path = Path(os.environ["BERTUNE_DATA"]) / "clinc150" / "data_full.json"
    of_intent: dict[str, list[str]] = {}
    for text, intent in json.loads(path.read_text(encoding="utf-8"))["train"]:
        of_intent.setdefault(intent, []).append(text)
    draw = np.random.default_rng(SEED)
    used = draw.permutation(sorted(of_intent))[:25]
    texts, given = [], np.zeros((num, len(used)), bool)
    for row in range(num):
        chosen = draw.choice(len(used), draw.choice([1, 2, 3], p=[0.5, 0.3, 0.2]), replace=False)
        texts.append(". ".join(draw.choice(of_intent[used[at]]) for at in chosen))
        given[row, chosen] = True
    return texts, given


def with_errors(given_NC: Any) -> Any:
    """The labels with errors in `PLANTED` of the rows: a label replaced, left out, or added."""
    draw = np.random.default_rng(SEED)
    changed = given_NC.copy()
    for row in np.flatnonzero(draw.random(len(given_NC)) < PLANTED):
        kind, yes = draw.integers(3), np.flatnonzero(given_NC[row])
        is_left_out = kind == 1 and len(yes) > 1
        if not is_left_out:
            changed[row, draw.choice(np.flatnonzero(~given_NC[row]))] = True
        if kind != 2:
            changed[row, draw.choice(yes)] = False
    return changed


def out_of_fold(vectors_NH: Any, given_NC: Any, strength: float) -> Any:
    """The probabilities [N, C] of one logistic regression per label, by 3-fold cross-validation."""
    found = np.zeros(given_NC.shape)
    for train, test in KFold(3, shuffle=True, random_state=SEED).split(vectors_NH):
        scaler = StandardScaler().fit(vectors_NH[train])
        known, new = scaler.transform(vectors_NH[train]), scaler.transform(vectors_NH[test])
        for label in np.flatnonzero(given_NC[train].any(axis=0)):
            model = LogisticRegression(C=strength, max_iter=100, tol=1e-3)
            found[test, label] = model.fit(known, given_NC[train, label]).predict_proba(new)[:, 1]
    return found


def measured(name: str, strength: str, clean_NC: Any, vectors_NH: Any) -> dict[str, Any]:
    """How many rows each method lists, and how many of these have a planted error."""
    num, c = STRENGTHS[strength]
    clean_NC, given_NC = clean_NC[:num], with_errors(clean_NC[:num])
    chances_NC = out_of_fold(vectors_NH[:num], given_NC, c)
    is_planted_N = (clean_NC != given_NC).any(axis=1)
    judged = judge_sets(lambda block: given_NC[block], lambda block: chances_NC[block], num)
    sets = [np.flatnonzero(row).tolist() for row in given_NC]
    lists = {"bertune": np.array([len(errors) > 0 for errors in judged.errors])}
    for method, filter_by in FILTERS.items():
        lists[method] = find_label_issues(sets, chances_NC, filter_by=filter_by, n_jobs=1)
    right = ((chances_NC > 0.5) & clean_NC).sum()
    return {
        "case": f"{name}, {strength} model",
        "rows": num,
        "planted": int(is_planted_N.sum()),
        "micro_f1": round(float(2 * right / ((chances_NC > 0.5).sum() + clean_NC.sum())), 3),
        "lists": {
            method: {
                "listed": int(found_N.sum()),
                "precision": round(float(is_planted_N[found_N].mean()), 3) if found_N.any() else None,
                "recall": round(float(found_N[is_planted_N].mean()), 3),
            }
            for method, found_N in lists.items()
        },
    }


def page(results: list[dict[str, Any]]) -> str:
    """The section of docs/results.md."""
    methods = list(results[0]["lists"])
    about = "; ".join(text for name, text in ABOUT.items() if any(name in one["case"] for one in results))
    heads = ["data", "rows", "with planted errors", "micro F1", *methods]
    lines = [
        "## Likely label errors in sets of labels",
        "",
        f"{PLANTED:.0%} of the rows of multi-label data got a wrong label. The cells are the number of rows "
        "that are listed, the share of them with a planted error, and the share of the planted errors among "
        f"them. {about}. The probabilities come from linear models on the vectors of the frozen "
        "MiniLM-L6, out of fold; cleanlab 2.9 gets the same ones and uses its default filter, and confident "
        "learning alone.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    for one in results:
        cells = [one["case"], f"{one['rows']:,}", f"{one['planted']:,}", f"{one['micro_f1']:.2f}"]
        for found in one["lists"].values():
            share = "" if found["precision"] is None else f", {found['precision']:.0%}"
            cells.append(f"{found['listed']:,}{share}, {found['recall']:.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    used = [name for name in ABOUT if any(name in one["case"] for one in results)]
    command = f"BERTUNE_DATA=DATA python benchmarks/label_error_sets.py --data {' '.join(used)}"
    return "\n".join([*lines, "", "```", command, "```"])


READERS = {"CLINC150": joined_clinc, "GoEmotions": goemotions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", nargs="+", choices=list(READERS), default=list(READERS))
    results = []
    for name in parser.parse_args().data:
        read = READERS[name]
        texts, clean_NC = read(max(num for num, _ in STRENGTHS.values()))
        vectors_NH = vectors(texts)
        for strength in STRENGTHS:
            results.append(measured(name, strength, clean_NC, vectors_NH))
            print(json.dumps(results[-1]), flush=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    replace_block("label_error_sets", page(results))


if __name__ == "__main__":
    main()
