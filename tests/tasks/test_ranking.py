"""Ranking: grades, the pointwise and the listwise loss, queries as groups, and complete runs."""

import json
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval  # type: ignore[import-not-found, import-untyped, unused-ignore]
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.nn.batch import collate
from bertune.run import Run
from bertune.tasks import make_task
from bertune.tasks.ranking.loss import listwise_loss
from bertune.tasks.ranking.task import Example, FittedRanking, Ranking, RelevancePrediction
from bertune.tasks.ranking.trec import trec_lines
from bertune.text.sequences import Sequence
from bertune.training.selection import best_metric
from tiny import QUICK, bertune, write_csv
from trainings import train

WORDS = ["great", "dull", "slow", "bright", "weak", "clear", "late", "new"]
COLUMNS = Columns(("query", "document"), "grade", None)


def task(**options: Any) -> Ranking:
    made = make_task(TaskConfig(name="ranking", **options))
    assert isinstance(made, Ranking)
    return made


def fitted(**options: Any) -> FittedRanking:
    made = task(**options).fitted()
    assert isinstance(made, FittedRanking)
    return made


def judged(*grades: tuple[str, float]) -> list[Example]:
    return [
        Example(f"d{n}", Origin("pairs.tsv", n), (query, f"text {n}"), float(grade))
        for n, (query, grade) in enumerate(grades, 1)
    ]


def sequences(golds: SequenceOf[float], groups: SequenceOf[int]) -> list[Sequence]:
    ids, types = np.ones(3, np.int32), np.zeros(3, np.uint8)
    return [Sequence(ids, types, group, gold) for gold, group in zip(golds, groups, strict=True)]


@pytest.mark.parametrize(
    ("cell", "grade"), [("2", 2.0), (0, 0.0), ("0.5", 0.5), (True, None), ("high", None)]
)
def test_a_grade_is_a_number(cell: Any, grade: float | None) -> None:
    row = Row({"query": "q", "document": "d", "grade": cell}, Origin("pairs.tsv", 3))
    if grade is not None:
        assert task().parse(row, COLUMNS).gold == grade
        return
    with pytest.raises(
        DataError, match=r'pairs\.tsv, line 3: ".*" in column "grade" is not a relevance grade'
    ):
        task().parse(row, COLUMNS)


@pytest.mark.parametrize("cell", ["-1", "nan", "inf", ""])
def test_negative_and_missing_grades_are_an_error(cell: str) -> None:
    row = Row({"query": "q", "document": "d", "grade": cell}, Origin("pairs.tsv", 3))
    with pytest.raises(DataError, match=r"line 3: .*replace TREC's -1 and -2 with 0"):
        task().parse(row, COLUMNS)


def test_training_data_without_relevant_documents_is_an_error() -> None:
    with pytest.raises(DataError, match=r"pairs\.tsv: all 2 rows have the grade 0"):
        task().fit(judged(("a", 0), ("b", 0)))
    with pytest.raises(
        DataError, match=r"none of the 2 queries has documents of different grades.*pointwise"
    ):
        fitted(loss="listwise").group_training_examples(judged(("a", 1), ("b", 0), ("b", 0)))
    with pytest.raises(ConfigError, match=r"task\.max_grade must be greater than 0, got 0"):
        task(max_grade=0).fit(judged(("a", 1), ("a", 0)))


@pytest.mark.parametrize(
    ("grades", "message"),
    [
        ([("a", 1), ("b", 0)], "this query has only one document, and so do all 2 queries to score"),
        ([("a", 0), ("a", 0), ("b", 0)], "nor any other of the 2 to score has a relevant document"),
    ],
)
def test_queries_that_cannot_be_scored_are_an_error_with_their_location(
    grades: list[tuple[str, float]], message: str
) -> None:
    with pytest.raises(DataError, match=rf"pairs\.tsv, line 1: .*{message}"):
        fitted().for_scoring(judged(*grades))


def test_queries_with_one_document_are_counted() -> None:
    assert task().fit(judged(("a", 1), ("a", 0), ("b", 1))).notes == (
        "training file: 2 queries; 1 with a single document, whose order cannot be wrong "
        "(first: pairs.tsv, line 3)",
    )


def test_the_listwise_loss_cannot_select_the_checkpoint() -> None:
    with pytest.raises(
        ConfigError, match=r"train\.best_metric=loss: this loss depends on the other examples of a batch"
    ):
        best_metric("loss", fitted(loss="listwise"))
    assert best_metric("loss", fitted()) == "loss"


def test_queries_excluded_from_scores_or_training_are_counted() -> None:
    examples = judged(("a", 1), ("a", 0), ("b", 0), ("b", 0), ("c", 2))
    pointwise, listwise = task().fit(examples), task(loss="listwise").fit(examples)
    assert pointwise.notes == (
        "training file: 3 queries, 1 of them without a relevant document (scores ignore such queries); 1 "
        "with a single document, whose order cannot be wrong (first: pairs.tsv, line 5)",
    )
    assert "; 2 without documents of different grades, which are not used for training" in listwise.notes[0]


def test_the_pointwise_loss_is_cross_entropy_with_grades_divided_by_the_maximum() -> None:
    made = task().fit(judged(("a", 4), ("a", 1), ("b", 0)))
    assert made.options.max_grade == 4.0
    logits, batch = (
        torch.tensor([[0.5], [-1.0], [2.0], [0.1]]),
        collate(sequences([4.0, 1.0, 0.0, 8.0], range(4))),
    )
    loss, count = fitted(**made.options.model_dump()).loss(logits, batch)
    target = torch.tensor([1.0, 0.25, 0.0, 1.0])  # grades above the maximum count as the maximum
    assert loss.item() == pytest.approx(binary_cross_entropy_with_logits(logits[:, 0], target).item() * 4)
    assert count.item() == 4


def test_a_fitted_task_does_not_change() -> None:
    unfitted = task()
    first = unfitted.fit(judged(("a", 4), ("a", 1)))
    options, notes = first.options.model_dump(), first.notes
    logits, batch = torch.tensor([[0.5], [-1.0]]), collate(sequences([4.0, 1.0], range(2)))
    loss = first.loss(logits, batch)[0]
    test = judged(("b", 9), ("b", 0), ("c", 0))
    assert first.for_scoring(test) is first
    first.score([RelevancePrediction(s) for s in (0.1, 0.2, 0.3)], test)
    assert unfitted.fit(test).options.max_grade == 9
    assert unfitted.options.max_grade == "auto"
    assert (first.options.model_dump(), first.notes) == (options, notes)
    assert torch.equal(first.loss(logits, batch)[0], loss)


@pytest.mark.parametrize("logit", [0.0, 0.3, -0.3, 40.0, -40.0, 3e38, -3e38])
def test_the_relevance_is_the_sigmoid_of_the_output(logit: float) -> None:
    output = np.array([logit], np.float32)
    example = Example("1", Origin("f", 1), ("q", "d"))
    found = fitted().decode([output], sequences([0.0], [0]), example).score
    assert found == pytest.approx(torch.from_numpy(output).double().sigmoid().item(), rel=1e-15)


def test_the_listwise_loss_is_softmax_cross_entropy_per_query() -> None:
    logits = torch.tensor([0.5, -1.0, 2.0, 0.1, 0.7, 3.0])
    grades, groups = torch.tensor([2.0, 0.0, 1.0, 0.0, 1.0, 0.0]), torch.tensor([7, 3, 7, 7, 3, 5])
    loss, count = listwise_loss(logits, grades, groups)
    expected = sum(
        cross_entropy(logits[groups == g][None], (grades / grades[groups == g].sum())[groups == g][None])
        for g in (3, 7)
    )
    assert loss.item() == pytest.approx(float(expected))
    assert count.item() == 2  # the query without relevant documents is not counted


def test_single_documents_have_no_listwise_loss() -> None:
    batch = collate(sequences([1.0, 0.0, 1.0], range(3)))
    loss, count = fitted(loss="listwise").loss(torch.randn(3, 1), batch)
    assert (loss.item(), count.item()) == (0, 0)


def test_groups_are_queries_with_different_grades() -> None:
    examples = judged(("a", 1), ("b", 0), ("a", 0), ("b", 0), ("c", 1), ("d", 1), ("d", 2))
    assert fitted().group_training_examples(examples) is None
    assert fitted(loss="listwise").group_training_examples(examples) == [[0, 2], [5, 6]]
    assert [task().group_key(e) for e in examples[:3]] == ["a", "b", "a"]


def test_long_lists_are_sampled_at_every_step_with_a_relevant_document() -> None:
    made = fitted(loss="listwise", list_size=4)
    golds = [0.0] * 19 + [1.0]
    given = sequences([*golds, 1.0, 0.0], [0] * 20 + [1, 1])
    draws = [made.resample(given, np.random.default_rng(seed)) for seed in range(30)]
    for found in draws:
        assert [s.group for s in found] == [0] * 4 + [1, 1]
        assert sorted(s.gold for s in found if s.group == 0) == [0, 0, 0, 1]  # type: ignore[type-var]
    assert len({tuple(id(s) for s in found) for found in draws}) > 5 or len(draws[0]) == len(given)
    assert fitted(list_size=4).resample(given, np.random.default_rng(0)) is given
    assert not made.is_resampled  # sequences are only dropped, so their frozen outputs can be cached


def test_rows_of_a_query_need_not_be_adjacent() -> None:
    examples = judged(("a", 0), ("b", 0), ("a", 1), ("c", 0), ("b", 1))
    found = fitted().score([RelevancePrediction(s) for s in (0.9, 0.1, 0.2, 0.7, 0.8)], examples)
    assert found["mrr@10"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["p@1"] == 0.5
    assert (found.details["count"], found.details["queries_without_relevant"]) == (2, 1)


def test_trec_files_number_queries_and_name_documents_by_row_id() -> None:
    examples = judged(("what is it ?", 0), ("who ?", 1), ("what is it ?", 2))
    lines = trec_lines(examples, [RelevancePrediction(s) for s in (0.25, 0.5, 0.75)])
    assert list(lines["run"]) == [
        "q1 Q0 d3 1 0.75 bertune", "q1 Q0 d1 2 0.25 bertune", "q2 Q0 d2 1 0.5 bertune",
    ]  # fmt: skip
    assert list(lines["qrels"]) == ["q1 0 d1 0", "q2 0 d2 1", "q1 0 d3 2"]
    bare = [Example("1", Origin("f", 1), ("q", "d"))]
    assert "qrels" not in trec_lines(bare, [RelevancePrediction(0.5)])


def test_trec_files_use_query_ids_and_unique_document_ids() -> None:
    made = task(query_id="qid")
    cells = [("t7", "d 1", 1), ("t7", "d 1", 0), ("t8", "d 1", 0)]
    examples = [
        made.parse(
            Row(
                {"query": f"about {q}", "document": "x", "grade": grade, "qid": q, "id": name},
                Origin("pairs.csv", line),
            ),
            Columns(("query", "document"), "grade", "id"),
        )
        for line, (q, name, grade) in enumerate(cells, 2)
    ]
    made.fitted().for_scoring(examples)
    lines = trec_lines(examples, [RelevancePrediction(s) for s in (0.25, 0.5, 0.75)])
    assert list(lines["qrels"]) == ["t7 0 d%201-line-2 1", "t7 0 d%201-line-3 0", "t8 0 d%201 0"]
    assert next(lines["run"]) == "t7 Q0 d%201-line-3 1 0.5 bertune"


def test_query_ids_are_only_optional_in_prediction() -> None:
    made, row = task(query_id="qid"), Row({"query": "a", "document": "b", "grade": 1}, Origin("a.csv", 2))
    assert made.parse(row, Columns(("query", "document"), None, None, has_gold=False)).query == "a"
    with pytest.raises(DataError, match=r'a\.csv, line 2: there is no column "qid"'):
        made.parse(row, COLUMNS)
    with pytest.raises(DataError, match=r'a\.csv, line 2: the query ID in column "qid" .* is missing'):
        made.parse(Row({**row.values, "qid": " "}, row.origin), COLUMNS)


def test_a_query_id_shared_by_two_queries_is_an_error_with_both_lines() -> None:
    examples = [Example("", Origin("a.csv", n), (f"query {n}", "x"), n % 2, "q7") for n in (2, 3)]
    for refuse in (task().fit, fitted().for_scoring):
        with pytest.raises(
            DataError, match=r'a\.csv, line 3: .*"q7" belongs to "query 3", but in line 2 to "query 2"'
        ):
            refuse(examples)


@pytest.mark.parametrize(
    ("grades", "written"), [([0.5, 2, 1], "5 20 10"), ([0.25, 1, 0], "25 100 0"), ([3, 0, 1], "3 0 1")]
)
def test_trec_grades_are_scaled_to_integers(grades: list[float], written: str) -> None:
    examples = judged(*(("who ?", grade) for grade in grades))
    lines = trec_lines(examples, [RelevancePrediction(0.5)] * 3)["qrels"]
    assert " ".join(line.split()[3] for line in lines) == written


def test_equal_predictions_cause_a_warning() -> None:
    (warning,) = fitted().warnings([RelevancePrediction(0.1), RelevancePrediction(0.1001)], [], [])
    assert "collapsed" in warning
    assert not fitted().warnings([RelevancePrediction(0.1), RelevancePrediction(0.2)], [], [])


def pairs(num: int, seed: int) -> str:
    """Lines where the documents with the word of the query are relevant; some queries have none."""
    draw, lines = np.random.default_rng(seed), []
    words = ["great", "dull", "slow", "bright", "weak", "clear"]
    for number in range(num):
        chosen = draw.permutation(words)[:4]
        asked = chosen[0] if number % 5 else "noisy"
        lines += [
            f"the {asked} lamp {number}\tit is {word}\t{int(word == asked)}"
            for word in draw.permutation(chosen)
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("loss", ["pointwise", "listwise"])
def test_training_evaluation_report_and_prediction(loss: str, tiny_weights: Path, tmp_path: Path) -> None:
    dev, run = tmp_path / "dev.tsv", tmp_path / "run"
    (tmp_path / "train.tsv").write_text(pairs(30, 1))
    dev.write_text(pairs(10, 2))
    columns = ("data.text=0,1", "data.label=2")
    settings = ("task.name=ranking", f"task.loss={loss}", f"model.name={tiny_weights}", *columns, *QUICK)
    done = bertune("train", tmp_path / "train.tsv", *settings, "--out", run).fine()
    assert "30 queries, 6 of them without a relevant document" in " ".join(done.err.split())
    (*_, last) = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    stored = map(json.loads, (run / "predictions" / "validation.jsonl").read_text().splitlines())
    queries = {line["text"][0] for line in stored}
    rows = 4 * (30 - len(queries))
    # A listwise step has 16 queries, and at most 24 queries have documents of different grades.
    assert last["step"] == (2 if loss == "listwise" else -(-rows // 16))
    assert (last["validation"]["loss"] is None) == (loss == "listwise")
    scores = bertune("evaluate", run, dev, "--json").fine().json
    details = scores["details"]["dev"]
    assert (details["unit"], details["count"], details["queries_without_relevant"]) == ("query", 8, 2)
    assert bertune("report", run).fine()
    found = bertune("predict", run, dev).fine().lines
    assert len(found) == 40 and all(0 < line["score"] < 1 for line in found)
    streamed = bertune("predict", run, "-", stdin="the lamp\tit is dull\n").fine().lines
    assert len(streamed) == 1


TREC_NAMES = {
    "ndcg": "ndcg", "ndcg@10": "ndcg_cut_10", "map": "map", "mrr": "recip_rank", "p@1": "P_1", "p@5": "P_5",
    "p@10": "P_10", "recall@5": "recall_5", "recall@10": "recall_10",
}  # fmt: skip


def trec_scores(ranked: Path, judged: Path) -> dict[str, float]:
    """The scores of trec_eval, averaged over the queries with relevant documents.

    Grades have one decimal, so those in the qrels are multiplied by ten.
    """
    with judged.open() as file:
        grades = pytrec_eval.parse_qrel(file)
    with ranked.open() as file:
        found = pytrec_eval.RelevanceEvaluator(
            grades,
            {"ndcg", "ndcg_cut.10", "map", "recip_rank", "P.1,5,10", "recall.5,10"},
            relevance_level=10,
        ).evaluate(pytrec_eval.parse_run(file))
    highest = {query: max(of_query.values()) for query, of_query in grades.items()}
    return {
        ours: float(
            np.mean([found[q][theirs] for q in grades if highest[q] >= (1 if "ndcg" in ours else 10)])
        )
        for ours, theirs in TREC_NAMES.items()
    }


def test_trec_eval_computes_the_same_scores_from_the_files(tiny_weights: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    header = "qid,query,document,grade,id"
    rows = [
        (f"t{q}", f"query {q}", f"{WORDS[d]} lamp {q}", draw.choice([0, 0, 0.5, 1, 2]), f"d{d}")
        for q in range(20)
        for d in draw.permutation(len(WORDS))
    ]
    train, test = (
        write_csv(tmp_path / "a.csv", rows, header),
        write_csv(tmp_path / "b.csv", rows[:96], header),
    )
    settings = ("task.name=ranking", "task.query_id=qid", "data.id=id", f"model.name={tiny_weights}", *QUICK)
    run, out = tmp_path / "run", tmp_path / "out"
    bertune("train", train, f"data.test={test}", *settings, "--out", run).fine()
    predictions, stored = run / "predictions", Run(run).manifest["scores"]["test"]
    found = trec_scores(predictions / "test.run", predictions / "test.qrels")
    assert found == pytest.approx({name: stored[name] for name in TREC_NAMES})
    assert 0 < stored["ndcg@10"] < 1
    for suffix in ("run", "qrels", "jsonl"):
        bertune("evaluate", run, test, "--out", f"{out}.{suffix}").fine()
    assert (tmp_path / "out.qrels").read_text() == (predictions / "test.qrels").read_text()
    assert trec_scores(tmp_path / "out.run", tmp_path / "out.qrels") == pytest.approx(found)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 96
    bertune("predict", run, test, "--out", tmp_path / "new.run").fine()
    assert (tmp_path / "new.run").read_text() == (tmp_path / "out.run").read_text()
    refused = bertune("predict", run, test, "--out", tmp_path / "new.qrels")
    assert refused.code == 3 and "bertune evaluate RUN FILE --out NAME.qrels" in " ".join(refused.err.split())
    assert not (tmp_path / "new.qrels").exists()


def test_ids_with_whitespace_are_escaped_in_trec_files(tiny_weights: Path, tmp_path: Path) -> None:
    ids = ["doc 1", "", "<script>\t2", "doc%201", *(f"d{n}" for n in range(4, len(Ranking.sample)))]
    rows = [{**row, "key": key} for row, key in zip(Ranking.sample, ids, strict=False)]
    overrides = {"task.name": "ranking", "data.id": "key", "model.name": str(tiny_weights), "train.epochs": 1}
    run, _ = train({"train": rows, "validation": rows}, tmp_path / "run", overrides)
    ranked = (run.path / "predictions" / "validation.run").read_text(encoding="utf-8").splitlines()
    assert all(len(line.split()) == 6 for line in ranked)
    documents = {line.split()[2] for line in ranked}
    assert {"doc%201", "line-2", "<script>%092", "doc%25201"} <= documents
    assert len(documents) == len(rows)


def test_ambiguous_query_ids_are_an_error_when_writing_a_trec_run() -> None:
    examples = [Example("", Origin("a.csv", n), (f"query {n}", "x"), None, "q7") for n in (2, 3)]
    with pytest.raises(DataError, match=r'a\.csv, line 3: the query ID "q7" belongs to'):
        fitted().extra_prediction_files(examples, [RelevancePrediction(0.5)] * 2)
