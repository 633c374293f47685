"""How well the list of likely label errors finds labels that were flipped: average precision on SST-2.

5 % of the labels of a random slice of the training rows are flipped. The slice is cross-validated, and its
rows are ranked in the order of the file that bertune writes. Beside it: a random order, and the rankings of
cleanlab from the same out-of-fold probabilities. One case fine-tunes MiniLM in every fold; the other fits a
linear model to the vectors of the frozen encoder, which allows more rows. Needs BERTUNE_DATA, and cleanlab.

    BERTUNE_DATA=DATA python benchmarks/label_errors.py --work FOLDER

Sets of labels are measured in `label_error_sets.py`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from results_blocks import replace_block
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bertune as bt
from bertune.config import MachineConfig, ModelConfig, TaskConfig
from bertune.metrics.label_errors import judge_labels, ranked
from bertune.nn.device import make_machine
from bertune.nn.pretrained import find_pretrained
from bertune.predict.torch_backend import TorchBackend
from bertune.saved_model import new_model
from bertune.tasks import make_task
from bertune.text.tokenizer import Tokenizer

FLIPPED = 0.05
SEED = 7
RESULT = Path(__file__).parent / "results" / "label_errors.json"
FINE_TUNED, FROZEN = 8_000, 20_000  # rows


def noisy_rows(num: int) -> tuple[list[str], Any, Any]:
    """Texts, labels of which some are flipped, and which of them are, of a random slice of SST-2."""
    path = Path(os.environ["BERTUNE_DATA"]) / "sst2" / "train.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    draw = np.random.default_rng(SEED)
    rows = [lines[at].split("\t") for at in draw.permutation(len(lines))[:num]]
    is_flipped = draw.random(num) < FLIPPED
    labels = np.array([int(label) for _, label in rows]) ^ is_flipped
    return [text for text, _ in rows], labels, is_flipped


def fine_tuned(folder: Path) -> dict[str, Any]:
    """The ranking of the file that `bertune cross-validate` writes."""
    texts, labels, is_flipped = noisy_rows(FINE_TUNED)
    folder.mkdir(parents=True, exist_ok=True)
    data, out = folder / "noisy.csv", folder / "folds"
    with data.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels.tolist(), strict=True)])
    settings = {
        "model.name": "minilm", "model.max_length": 64, "train.epochs": 2, "train.baselines": False,
        "cross_validate.folds": 3, "data.calibration_fraction": 0,
    }  # fmt: skip
    result = bt.cross_validate(str(data), settings=settings, out=out, resume=out.exists())
    with (out / "label-errors" / "out-of-fold.csv").open(encoding="utf-8", newline="") as file:
        order = [int(row["line"]) - 2 for row in csv.DictReader(file)]
    probabilities_N2 = np.array(
        [[line["probabilities"]["0"], line["probabilities"]["1"]] for line in result.predictions()]
    )
    return {
        "case": "MiniLM-L6, fine-tuned for 2 epochs",
        "folds": 3,
        "seconds": round(result.record.seconds or 0),
        **scores(labels, is_flipped, probabilities_N2, order),
    }


def vectors(texts: list[str]) -> Any:
    """The vectors of texts by the encoder without fine-tuning, [N, H]."""
    pretrained = find_pretrained("minilm")
    fitted = make_task(TaskConfig(name="embeddings")).fitted()
    model = new_model(pretrained, ModelConfig(name="minilm"), fitted).eval()
    sequences = Tokenizer.pretrained(pretrained.folder).encode([(text,) for text in texts], 64)
    return np.stack(TorchBackend(model, fitted, make_machine(MachineConfig()))(sequences).outputs)


def frozen() -> dict[str, Any]:
    """The ranking from a linear model on the vectors of the frozen encoder."""
    texts, labels, is_flipped = noisy_rows(FROZEN)
    started = time.perf_counter()
    vectors_NH = vectors(texts)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    probabilities_N2 = cross_val_predict(model, vectors_NH, labels, cv=folds, method="predict_proba")
    judged = judge_labels(labels, lambda block: probabilities_N2[block], 2)
    order = ranked(judged.scores, judged.is_error).tolist()
    return {
        "case": "frozen MiniLM-L6 + logistic regression",
        "folds": 5,
        "seconds": round(time.perf_counter() - started),
        **scores(labels, is_flipped, probabilities_N2, order),
    }


def scores(labels: Any, is_flipped: Any, probabilities_N2: Any, order: list[int]) -> dict[str, Any]:
    """The average precision of bertune's ranking, and of others on the same rows."""
    ranks = np.empty(len(order))
    ranks[order] = -np.arange(len(order))
    draw = np.random.default_rng(SEED)
    cleanlab = {
        f"cleanlab_{method}": -get_label_quality_scores(labels, probabilities_N2, method=method)
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
    }
    of = {"bertune": ranks, **cleanlab, "random": draw.random(len(labels))}
    is_likely = judge_labels(labels, lambda block: probabilities_N2[block], 2).is_error
    theirs = find_label_issues(labels, probabilities_N2)  # with its default filter
    return {
        "rows": len(labels),
        "flipped": int(is_flipped.sum()),
        "accuracy": round(float((probabilities_N2.argmax(axis=1) == (labels ^ is_flipped)).mean()), 4),
        "average_precision": {
            name: round(float(average_precision_score(is_flipped, values)), 4) for name, values in of.items()
        },
        "listed": {name: int(found.sum()) for name, found in (("bertune", is_likely), ("cleanlab", theirs))},
        "recall": {
            name: round(float(is_flipped[found].sum() / is_flipped.sum()), 4)
            for name, found in (("bertune", is_likely), ("cleanlab", theirs))
        },
    }


def page(results: list[dict[str, Any]]) -> str:
    """The section of docs/results.md."""
    lines = [
        "## Likely label errors",
        "",
        f"{FLIPPED:.0%} of the labels of a random slice of SST-2's training rows were flipped. The rows are "
        "ranked by `bertune cross-validate`, in the order of `label-errors/out-of-fold.csv`. For comparison: "
        "a random order, and the scores of cleanlab 2.9 on the same out-of-fold probabilities. *Listed* are "
        "the likely errors by confident learning, and those of cleanlab's default filter; *found* is the "
        "share of the flipped labels among them. Some texts of SST-2 are phrases whose published label is "
        "doubtful, which counts against every method.",
        "",
        "| model | rows | folds | accuracy | average precision: bertune | cleanlab: self-confidence | "
        "normalized margin | confidence-weighted entropy | random | listed, found: bertune | cleanlab |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        precision = one["average_precision"]
        both = [f"{one['listed'][n]:,}, {one['recall'][n]:.1%}" for n in ("bertune", "cleanlab")]
        values = [f"{value:.3f}" for value in list(precision.values())[1:]]
        cells = [
            one["case"], f"{one['rows']:,}", str(one["folds"]), f"{one['accuracy']:.1%}",
            f"**{precision['bertune']:.3f}**", *values, *both,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    command = "BERTUNE_DATA=DATA python benchmarks/label_errors.py --work FOLDER"
    return "\n".join([*lines, "", "```", command, "```"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True, help="folder for the cross-validation")
    options = parser.parse_args()
    results = []
    for one in (frozen, lambda: fine_tuned(options.work)):
        results.append(one())
        print(json.dumps(results[-1]), flush=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    replace_block("label_errors", page(results))


if __name__ == "__main__":
    main()
