"""How often 95% intervals contain the true score.

    BERTUNE_DATA=DATA python benchmarks/coverage.py --out benchmarks/results/coverage.json

A model predicts a large pool of labelled rows, whose score counts as the true one. 200 simulated test sets
are drawn from the pool, and for each the interval of the score is computed from this test set alone, by both
methods. The models are linear ones on TF-IDF features; for WikiQA, the TF-IDF similarity of question and
sentence ranks the sentences.
"""

import argparse
import json
import os
import zlib
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from bertune.config import DataConfig
from bertune.data.tables import open_table
from bertune.metrics import classification, ranking, resampling
from bertune.metrics.arrays import FloatArray
from bertune.metrics.scores import Scores
from bertune.training import linear

NUM_SETS = 200
MOST = 1001  # labels from which classification scores do not include ROC AUC, which takes most of the time


def labelled(gold_N: Any, outputs_NC: FloatArray) -> Scores:
    """The scores of outputs, with unused labels so that no ROC AUC is computed."""
    shares = np.exp(outputs_NC - outputs_NC.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    labels = tuple(map(str, range(max(MOST, outputs_NC.shape[1]))))
    return classification.score(gold_N, iter(shares), labels, 1)


def text_pool(name: str, num_train: int, files: tuple[str, ...]) -> tuple[Any, FloatArray]:
    """Gold labels and outputs for all rows but the first `num_train`, which a linear model is fitted to."""
    folder = Path(os.environ["BERTUNE_DATA"]) / name
    rows = [row for file in files for row in open_table(str(folder / file), DataConfig(), frozenset()).rows()]
    order = np.random.default_rng(0).permutation(len(rows))
    cells = [list(map(str, rows[i].values.values())) for i in order]
    # AG News has the columns label, title, text; the others text, label.
    pairs = [(f"{c[1]} {c[2]}", c[0]) if len(c) == 3 else (c[0], c[1]) for c in cells]
    names = sorted({label for _, label in pairs})
    gold_N = np.array([names.index(label) for _, label in pairs])
    texts = [(text,) for text, _ in pairs]
    features = linear.tfidf_features(texts[:num_train], texts[num_train:])
    outputs = linear.linear_outputs(features, gold_N[:num_train], len(names), seed=0, is_sparse=True)
    return gold_N[num_train:], outputs


def query_pool() -> list[ranking.Judged]:
    """The questions of WikiQA with a correct sentence, ranked by TF-IDF similarity."""
    folder = Path(os.environ["BERTUNE_DATA"]) / "wikiqa"
    queries: dict[str, list[tuple[str, float]]] = {}
    for file in ("train.txt", "dev.txt", "test.txt"):
        for line in (folder / file).read_text(encoding="utf-8").splitlines():
            question, sentence, grade = line.split("\t")
            queries.setdefault(question, []).append((sentence, float(grade)))
    kept = {q: found for q, found in queries.items() if any(grade for _, grade in found)}
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(sublinear_tf=True).fit([s for found in kept.values() for s, _ in found])
    return [
        ranking.Judged(
            np.array([grade for _, grade in found]),
            (vectors.transform([s for s, _ in found]) @ vectors.transform([question]).T).toarray().ravel(),
        )
        for question, found in kept.items()
    ]


def bca(scores: Scores, score: str, resampled_R: FloatArray, num_rows: int) -> tuple[float, float]:
    """The bias-corrected and accelerated interval (Efron 1987), with a grouped jackknife."""
    assert scores.weighted is not None
    value, normal = scores[score] or 0.0, NormalDist()
    num_groups = min(100, num_rows)
    groups = np.random.default_rng(1).permutation(num_rows) % num_groups
    weights_GN = (groups != np.arange(num_groups)[:, None]).astype(float)
    left_out_G = scores.weighted(weights_GN)[score]
    influence_G = left_out_G.mean() - left_out_G
    spread = float((influence_G**2).sum()) ** 1.5
    skew = float((influence_G**3).sum()) / (6 * spread) if spread else 0.0
    below = float(np.mean(resampled_R < value) + np.mean(resampled_R == value) / 2)
    bias = normal.inv_cdf(min(max(below, 0.5 / len(resampled_R)), 1 - 0.5 / len(resampled_R)))
    levels = []
    for z in (normal.inv_cdf(0.025), normal.inv_cdf(0.975)):
        levels.append(normal.cdf(bias + (bias + z) / (1 - skew * (bias + z))))
    low, high = np.nanquantile(resampled_R, levels)
    return float(low), float(high)


def coverage(name: str, score: str, num_rows: int, true: float, draw_set: Any) -> dict[str, Any]:
    """The fraction of test sets whose interval contains the true score, by method, and the mean width."""
    inside = {"BCa": 0, "percentile": 0}
    width = dict.fromkeys(inside, 0.0)
    draw = np.random.default_rng(zlib.crc32(f"{name} {score}".encode()))
    for number in range(NUM_SETS):
        scores = draw_set(draw)
        found = resampling.resampled(scores, np.arange(num_rows), lambda rows: {}, seed=number)
        assert found is not None
        ends = {
            "BCa": bca(scores, score, found.values[score], num_rows),
            "percentile": resampling.interval(scores[score] or 0.0, found.values[score]) or (0.0, 0.0),
        }
        for method, (low, high) in ends.items():
            inside[method] += low <= true <= high
            width[method] += (high - low) / NUM_SETS
    shares = {method: count / NUM_SETS for method, count in inside.items()}
    result = {
        "data": name,
        "score": score,
        "rows": num_rows,
        "true": true,
        "coverage": shares,
        "width": width,
    }
    print(json.dumps(result), flush=True)
    return result


def all_coverage() -> list[dict[str, Any]]:
    """Accuracy, MCC, macro F1 and nDCG@10, for small and large test sets."""
    found = []
    for name, num_train, files, sets in (
        ("sst2", 5_000, ("train.tsv",), (("accuracy", 200), ("accuracy", 1000), ("mcc", 200), ("mcc", 1000))),
        (
            "banking77",
            3_000,
            ("train.csv", "test.csv"),
            (("accuracy", 500), ("macro_f1", 1000)),
        ),
        ("ag_news", 3_000, ("test.csv",), (("macro_f1", 200), ("macro_f1", 1000), ("mcc", 500))),
    ):
        gold_N, outputs_NC = text_pool(name, num_train, files)
        whole = labelled(gold_N, outputs_NC)
        for score, num_rows in sets:
            pool = (gold_N, outputs_NC)

            def draw_set(draw: np.random.Generator, num: int = num_rows, pool: Any = pool) -> Scores:
                rows = draw.integers(len(pool[0]), size=num)
                return labelled(pool[0][rows], pool[1][rows])

            found.append(coverage(name, score, num_rows, whole[score] or 0.0, draw_set))
    of_queries = ranking.query_scores(query_pool())
    for num_queries in (50, 200):

        def draw_queries(draw: np.random.Generator, num: int = num_queries) -> Scores:
            rows = draw.integers(len(of_queries["map"]), size=num)
            some = {key: each_Q[rows] for key, each_Q in of_queries.items()}
            return Scores.of(lambda weights_RQ: ranking.weighted_means(some, weights_RQ), num, {})

        true = float(np.nanmean(of_queries["ndcg@10"]))
        found.append(coverage("wikiqa", "ndcg@10", num_queries, true, draw_queries))
    return found


def main() -> None:
    """Write the results as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    given.out.write_text(json.dumps(all_coverage(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
