"""Temperature scaling with and without a prior: resamples of few calibration rows, judged on the others.

The outputs of one model per data set for a large held-out pool are cached, as by benchmarks/guarantee.py.
Each resample draws calibration rows from the pool. The temperatures that each rule fits to them are judged on
the rest of the pool. Needs BERTUNE_DATA.

    BERTUNE_DATA=DATA python benchmarks/temperature_prior.py --cache FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from held_out import SETS, Pool, pool_of
from results_blocks import replace_block

from bertune.metrics.calibration import PRIOR, Calibration, Kind, Terms, fit_temperature, measure

RESULT = Path(__file__).parent / "results" / "temperature_prior.json"
SIZES = (60, 150, 330, 1000)
RESAMPLES = 50
_COMMAND = "BERTUNE_DATA=DATA python benchmarks/temperature_prior.py --cache FOLDER"
# The models of the pools are trained once. Factors on their outputs add models of other confidence.
FACTORS = (1.0, 2.5)


def unless_insignificant(terms: Terms) -> Calibration:
    """The temperatures of the lowest log loss if a likelihood-ratio test rejects 1 at the level of 5%."""
    best = fit_temperature(terms, prior=0.0)
    count = terms.logits_NC.shape[1] if terms.kind == "sigmoid" else 1
    gain = 2 * len(terms) * count * (measure(terms, None).log_loss - measure(terms, best).log_loss)
    return best if gain > 3.84 * len(best.temperatures) else Calibration((1.0,))


RULES: dict[str, Callable[[Terms], Calibration]] = {
    "none": lambda terms: Calibration((1.0,)),
    "no prior": partial(fit_temperature, prior=0.0),
    "likelihood-ratio test": unless_insignificant,
    "prior 2": partial(fit_temperature, prior=2.0),
    "prior 4": partial(fit_temperature, prior=4.0),
    "prior 8": partial(fit_temperature, prior=8.0),
    "prior 16": partial(fit_temperature, prior=16.0),
}


def compared(name: str, pool: Pool, factor: float, size: int) -> dict[str, Any]:
    """Mean ECE and log loss of each rule on the rows of a pool that it was not fitted to."""
    kind: Kind = "sigmoid" if pool.gold.ndim == 2 else "softmax"
    random = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float]]] = {rule: [] for rule in RULES}
    for _ in range(RESAMPLES):
        order = random.permutation(len(pool.gold))
        rows, rest = order[:size], order[size : size + 4000]
        fitted, judged = (Terms(kind, pool.logits_NC[at] * factor, pool.gold[at]) for at in (rows, rest))
        for rule, fit in RULES.items():
            measured = measure(judged, fit(fitted))
            found[rule].append((measured.ece, measured.log_loss))
    means = {rule: np.mean(values, axis=0).tolist() for rule, values in found.items()}
    return {"set": name, "factor": factor, "rows": size, "rules": means}


def page(results: list[dict[str, Any]]) -> str:
    """The section of docs/results.md."""
    lines = [
        "## The prior of the temperature",
        "",
        f"Expected calibration error on held-out rows, mean of {RESAMPLES} resamples of the calibration "
        "rows, and in parentheses the log loss minus that of the unscaled model. One model for each set; "
        "outputs times 2.5 stand for an overconfident one. The likelihood-ratio test keeps a temperature of "
        f"1 unless it is rejected at the level of 5%. bertune uses the prior {PRIOR:g}.",
        "",
        f"| data set | calibration rows | {' | '.join(RULES)} |",
        f"|---|---|{'---|' * len(RULES)}",
    ]
    for result in results:
        title = SETS[result["set"]].title + (", outputs times 2.5" if result["factor"] != 1 else "")
        unscaled = result["rules"]["none"][1]
        cells = [f"{ece:.4f} ({loss - unscaled:+.4f})" for ece, loss in result["rules"].values()]
        lines.append(f"| {title} | {result['rows']:,} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "```", _COMMAND, "```"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the outputs of the models")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    options = parser.parse_args()
    results = []
    for name in options.sets:
        pool = pool_of(name, options.cache)
        for factor in FACTORS:
            for size in SIZES:
                results.append(compared(name, pool, factor, size))
                print(json.dumps(results[-1]), flush=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    replace_block("temperature_prior", page(results))


if __name__ == "__main__":
    main()
