"""Embeddings: losses, scores and saved models agree with sentence-transformers."""

import json
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn.functional import normalize

from bertune import api
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.metrics.retrieval import retrieval
from bertune.nn.batch import Batch, collate
from bertune.run import Run
from bertune.tasks import make_task
from bertune.tasks.embeddings.task import Embeddings, Example, FittedEmbeddings
from bertune.tasks.embeddings.vectors import vectors_of
from bertune.text.tokenizer import Tokenizer
from small_texts import labelled_texts
from tiny import bertune, write_csv
from trainings import train

TEXTS = [text for text, _ in labelled_texts(60, seed=2)]


def task(**options: Any) -> Embeddings:
    made = make_task(TaskConfig(name="embeddings", **options))
    assert isinstance(made, Embeddings)
    return made


def fitted(**options: Any) -> FittedEmbeddings:
    """The task as a saved model restores it."""
    made: FittedEmbeddings = task(**options).fitted()
    return made


def example(*texts: str, gold: float | None = None) -> Example:
    return Example("1", Origin("pairs.csv", 2), texts, gold)


def pairs(count: int = 12) -> list[Example]:
    return [example(TEXTS[i], TEXTS[i + 20]) for i in range(count)]


def scored(scores: SequenceOf[float]) -> list[Example]:
    return [example(TEXTS[i], TEXTS[i + 20], gold=score) for i, score in enumerate(scores)]


def batch_of(found: list[Example], folder: Path) -> tuple[Batch, Tensor]:
    """The batch of a step with these examples, and random vectors as its outputs."""
    sequences = fitted().encode(found, Tokenizer.pretrained(folder), None)
    outputs = torch.randn((len(sequences), 36), generator=torch.Generator().manual_seed(3))
    return collate(sequences), outputs.requires_grad_()


def columns_of(outputs: Tensor, num_texts: int) -> list[Tensor]:
    return [outputs[i::num_texts] for i in range(num_texts)]


def parse(values: dict[str, Any], text: tuple[str, ...], label: str | None = None) -> Example:
    parsed = task().parse(Row(values, Origin("pairs.csv", 7)), Columns(text, label, None))
    assert isinstance(parsed, Example)
    return parsed


def test_a_score_must_be_a_number() -> None:
    row = {"a": "x", "b": "y", "score": "high"}
    with pytest.raises(
        DataError,
        match=r'pairs\.csv, line 7: "high" in column "score" is not a number; this column must hold',
    ):
        parse(row, ("a", "b"), "score")


def test_a_score_for_three_texts_is_an_error() -> None:
    row = {"a": "x", "b": "y", "c": "z", "score": "1"}
    with pytest.raises(
        DataError, match=r"line 7: a similarity score \(column \"score\"\) requires two texts, got 3"
    ):
        parse(row, ("a", "b", "c"), "score")


@pytest.mark.parametrize(
    ("loss", "found"), [("cosent", pairs()), ("mse", pairs()), ("in_batch_negatives", scored([1, 2]))]
)
def test_a_loss_that_does_not_fit_the_columns_is_an_error(loss: str, found: list[Example]) -> None:
    with pytest.raises(
        ConfigError, match=f"task.loss={loss} does not fit the data: pairs.csv has 2 texts per row with"
    ):
        task(loss=loss).fit(found)


def test_equal_scores_are_an_error() -> None:
    with pytest.raises(DataError, match=r"pairs\.csv: all scores are 1"):
        task().fit(scored([1, 1, 1]))


def test_evaluating_pairs_with_equal_scores_is_an_error() -> None:
    with pytest.raises(DataError, match="this pair has the score 3, and so do all 2 pairs to score"):
        fitted().for_scoring([example("a", "b", gold=3), example("c", "d", gold=3)])
    this = fitted()
    assert this.for_scoring([example("a", "b", gold=3), example("c", "d", gold=2)]) is this


@pytest.mark.parametrize("num_texts", [2, 3])
def test_in_batch_negatives_loss_equals_that_of_sentence_transformers(
    num_texts: int, tiny_weights: Path
) -> None:
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    found = [example(*(TEXTS[i + 20 * n] for n in range(num_texts))) for i in range(12)]
    batch, outputs = batch_of(found, tiny_weights)
    reference = losses.MultipleNegativesRankingLoss(torch.nn.Identity(), scale=20.0)
    expected = reference.compute_loss_from_embeddings(columns_of(outputs, num_texts), None)
    total, count = fitted().loss(outputs, batch)
    assert float(count) == 12
    assert (total / count).item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(total / count, outputs)
    (expected_gradient,) = torch.autograd.grad(expected, outputs)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("order", ["given", "longest first"])
def test_cosent_loss_equals_that_of_sentence_transformers(order: str, tiny_weights: Path) -> None:
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    scores = [0.0, 2.5, 5.0, 2.5, 1.0, 4.0, 0.0]
    batch, outputs = batch_of(scored(scores), tiny_weights)
    reference = losses.CoSENTLoss(torch.nn.Identity(), scale=20.0)
    expected = reference.compute_loss_from_embeddings(columns_of(outputs, 2), torch.tensor(scores))
    if order == "longest first":  # the order within micro-batches
        sequences = fitted().encode(scored(scores), Tokenizer.pretrained(tiny_weights), None)
        places = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
        batch, outputs = collate([sequences[i] for i in places]), outputs[places]
    total, count = fitted().loss(outputs, batch)
    assert (total / count).item() == pytest.approx(expected.item(), rel=1e-5)


def test_mse_compares_cosines_with_scores_scaled_to_0_to_1(tiny_weights: Path) -> None:
    found = scored([1, 3, 5, 2])
    batch, outputs = batch_of(found, tiny_weights)
    this = task(loss="mse").fit(found)
    first, second = columns_of(outputs, 2)
    cosines = torch.cosine_similarity(first, second)
    expected = ((cosines - torch.tensor([0, 0.5, 1, 0.25])) ** 2).mean()
    total, count = this.loss(outputs, batch)
    assert (total / count).item() == pytest.approx(expected.item(), rel=1e-5)


def test_vectors_are_normalized_like_in_torch() -> None:
    outputs = np.random.default_rng(6).normal(size=(3, 36)).astype(np.float32)
    outputs[2] = 0
    found = torch.from_numpy(vectors_of(fitted().decode(list(outputs), [], example("a", "b", "c"))))
    torch.testing.assert_close(found, normalize(torch.from_numpy(outputs), dim=-1), rtol=1e-6, atol=0)


def test_matryoshka_loss_is_the_mean_over_truncated_vectors(tiny_weights: Path) -> None:
    batch, outputs = batch_of(pairs(), tiny_weights)
    alone = [fitted().loss(outputs[:, :size], batch)[0].item() for size in (36, 12, 4)]
    assert fitted(matryoshka_dims="36,12,4").loss(outputs, batch)[0].item() == pytest.approx(
        np.mean(alone), rel=1e-5
    )


def test_a_matryoshka_size_above_the_hidden_size_is_an_error_before_training(
    tiny_weights: Path, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "triplets.csv", TRIPLETS, "anchor,positive,negative")
    overrides = {"task.name": "embeddings", "model.name": str(tiny_weights), "task.matryoshka_dims": "37,12"}
    with pytest.raises(ConfigError, match=r"ask for vectors with 37 dimensions, but those of .* have 36"):
        api.train(file, settings=overrides, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("columns", "loss", "is_fine"),
    [(2, "auto", False), (3, "auto", True), (0, "cosent", False), (0, "mse", True)],
)
def test_batch_size_1_is_an_error_for_losses_that_compare_examples(
    columns: int, loss: str, is_fine: bool, tiny_weights: Path, tmp_path: Path
) -> None:
    names = ",".join(("anchor", "positive", "negative")[:columns])
    file = (
        write_csv(tmp_path / "texts.csv", [row[:columns] for row in TRIPLETS[:6]], names)
        if columns
        else scored_file(tmp_path)
    )
    overrides = {
        "task.name": "embeddings", "task.loss": loss, "model.name": str(tiny_weights),
        "machine.device": "cpu", "train.batch_size": 1, "train.epochs": 1, "data.validation": str(file),
    }  # fmt: skip
    if is_fine:
        assert train(file, tmp_path / "run", overrides)[0].manifest["status"] == "complete"
    else:
        with pytest.raises(ConfigError, match=r"batch_size=1 is too small: .* uses in-batch negatives"):
            api.train(file, settings=overrides, out=tmp_path / "run")


def test_equal_positives_are_not_negatives_of_each_other(tiny_weights: Path) -> None:
    """If both were in the softmax, neither could reach a probability above one half."""
    same = "the lamp is broken"
    batch, outputs = batch_of([example("a table", same), example("a box", same)], tiny_weights)
    total, _ = fitted().loss(outputs, batch)
    assert total.item() == pytest.approx(0, abs=1e-6)


def test_positives_of_the_same_anchor_are_not_negatives_of_each_other(tiny_weights: Path) -> None:
    found = [example("a table", "the lamp"), example("a table", "the box"), example("a key", "the lock")]
    batch, outputs = batch_of(found, tiny_weights)
    anchors, positives = columns_of(normalize(outputs, dim=-1), 2)
    expected = torch.zeros(())
    for own, against in ((0, [0, 2]), (1, [1, 2]), (2, [0, 1, 2])):
        logits = 20 * positives[against] @ anchors[own]
        expected = expected - (20 * positives[own] @ anchors[own] - logits.logsumexp(0))
    assert fitted().loss(outputs, batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_anchor_that_is_a_positive_elsewhere_is_not_its_own_negative(tiny_weights: Path) -> None:
    found = [example("a table", "the lamp"), example("the box", "a table")]
    batch, outputs = batch_of(found, tiny_weights)
    anchors, positives = columns_of(normalize(outputs, dim=-1), 2)
    logits = 20 * positives @ anchors[1]
    assert fitted().loss(outputs, batch)[0].item() == pytest.approx(
        (logits.logsumexp(0) - logits[1]).item(), rel=1e-5
    )


def test_retrieval_scores_equal_those_of_sentence_transformers() -> None:
    evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    random = np.random.default_rng(4)
    queries, documents = (random.normal(size=(n, 3)).astype(np.float32) for n in (40, 60))
    relevant = [set(random.choice(60, random.integers(1, 4), replace=False).tolist()) for _ in range(40)]
    reference = evaluation.InformationRetrievalEvaluator(
        {str(i): "" for i in range(40)},
        {str(i): "" for i in range(60)},
        {str(i): {str(d) for d in own} for i, own in enumerate(relevant)},
        mrr_at_k=[10], precision_recall_at_k=[1, 10], accuracy_at_k=[1], ndcg_at_k=[10], map_at_k=[100],
    )  # fmt: skip
    hits = [
        [{"corpus_id": str(d), "score": float(score)} for d, score in enumerate(row)]
        for row in queries @ documents.T
    ]
    expected = reference.compute_metrics(hits)
    found = retrieval(queries, documents, relevant, [()] * 40)
    assert found["mrr@10"] == pytest.approx(expected["mrr@k"][10])
    assert found["recall@1"] == pytest.approx(expected["recall@k"][1])
    assert found["recall@10"] == pytest.approx(expected["recall@k"][10])


def test_equal_vectors_have_retrieval_scores_of_zero() -> None:
    alike = np.ones((30, 4), np.float32) / 2
    found = retrieval(alike, alike, [{i} for i in range(30)], [()] * 30)
    assert set(found.values()) == {0.0}


def test_a_document_equal_to_the_query_is_not_a_candidate(tiny_weights: Path) -> None:
    this = fitted()
    found = [example("a table", "the lamp"), example("the box", "a table")]
    outputs = np.array([[1.0, 0.2], [1.0, 0.0], [0.9, 0.4], [1.0, 0.2]], np.float32)
    predictions = [this.decode(list(outputs[i : i + 2]), [], e) for i, e in zip((0, 2), found, strict=True)]
    assert this.score(predictions, found)["recall@1"] == 1.0


def test_equal_vectors_cause_a_warning() -> None:
    this, random = fitted(), np.random.default_rng(5)
    found = [this.decode([np.ones(4, np.float32)] * 2, [], e) for e in pairs(3)]
    (warning,) = this.warnings(found, pairs(3), [])
    assert warning.startswith("collapsed: all texts have nearly the same vector (mean cosine 1.000)")
    fine = [this.decode(list(random.normal(size=(2, 36)).astype(np.float32)), [], e) for e in pairs(8)]
    assert this.warnings(fine, pairs(8), []) == []


TRIPLETS = [(TEXTS[i], TEXTS[i], TEXTS[(i + 7) % 20]) for i in range(20)]


@pytest.fixture(scope="module")
def trained(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on triplets whose positive equals the anchor, which even a random encoder gets right."""
    folder = tmp_path_factory.mktemp("embeddings")
    file = write_csv(folder / "triplets.csv", TRIPLETS, "anchor,positive,negative")
    overrides = {
        "task.name": "embeddings", "model.name": str(tiny_weights), "train.epochs": 1, "train.batch_size": 8,
        "machine.precision": "fp32", "machine.device": "cpu", "machine.micro_batch_tokens": 64,
        "data.validation": str(file),
    }  # fmt: skip
    return train(file, folder / "run", overrides)[0]


def test_triplets_have_retrieval_scores_and_triplet_accuracy(trained: Run) -> None:
    assert trained.scores["triplet_accuracy"] == 1.0
    assert trained.scores["main_score"] == trained.scores["mrr@10"] == 1.0
    assert trained.scores["spearman"] is None


def test_stored_predictions_of_triplets_have_similarities_and_no_vectors(trained: Run) -> None:
    for line in trained.predictions("validation"):
        assert line["vector"] is None
        assert line["similarities"][0] == pytest.approx(1, abs=1e-5)
        assert line["similarities"][1] < 1


def test_single_texts_get_a_vector(trained: Run) -> None:
    found = api.predict(trained, TEXTS[:3])
    assert all(np.linalg.norm(p.vector) == pytest.approx(1, abs=1e-5) for p in found)
    triplet = api.predict(trained, [dict(zip(("anchor", "positive", "negative"), TRIPLETS[0], strict=True))])[
        0
    ]
    first, _, negative = (np.array(p.vector) for p in api.predict(trained, list(TRIPLETS[0])))
    assert triplet.similarities[1] == pytest.approx(float(first @ negative), abs=1e-5)


def test_sentence_transformers_loads_the_model_and_computes_the_same_vectors(trained: Run) -> None:
    library = pytest.importorskip("sentence_transformers")
    other = library.SentenceTransformer(str(trained.model_path), device="cpu")
    assert other.max_seq_length == trained.manifest["max_length"]["value"]
    assert other.similarity_fn_name == "cosine"
    expected = other.encode(TEXTS[:10])
    found = np.array([p.vector for p in api.predict(trained, TEXTS[:10])])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def scored_file(folder: Path) -> Path:
    rows = [(TEXTS[i], TEXTS[(i * 7) % 20], i % 4) for i in range(20)]
    return write_csv(folder / "scored.csv", rows, "sentence1,sentence2,score")


def test_a_model_trained_on_triplets_can_be_evaluated_on_scored_pairs(trained: Run, tmp_path: Path) -> None:
    found = api.evaluate(trained, scored_file(tmp_path))
    vectors = np.array([p.vector for p in api.predict(trained, TEXTS[:20])])
    cosines = [float(vectors[i] @ vectors[(i * 7) % 20]) for i in range(20)]
    assert found.scores["spearman"] == pytest.approx(spearmanr(cosines, [i % 4 for i in range(20)])[0])
    assert found.scores["main_score"] == found.scores["spearman"] and found.scores["mrr@10"] is None


@pytest.mark.parametrize("header", ["anchor,positive,negative", "anchor,positive"])
def test_triplets_and_pairs_are_validated_on_pairs_with_a_score(
    header: str, tiny_weights: Path, tmp_path: Path
) -> None:
    """A common setup in sentence-transformers, e.g. training on NLI and validating on STS."""
    triplets = [row[: header.count(",") + 1] for row in TRIPLETS]
    overrides = {
        "task.name": "embeddings", "model.name": str(tiny_weights), "train.epochs": 2, "train.batch_size": 8,
        "machine.device": "cpu", "data.validation": str(scored_file(tmp_path)),
        "data.test": str(write_csv(tmp_path / "test.csv", TRIPLETS, "anchor,positive,negative")),
    }  # fmt: skip
    run, _ = train(write_csv(tmp_path / "a.csv", triplets, header), tmp_path / "run", overrides)
    scores = run.manifest["scores"]
    assert scores["validation"]["spearman"] is not None and scores["validation"]["mrr@10"] is None
    assert scores["test"]["mrr@10"] is not None and scores["test"]["triplet_accuracy"] is not None
    assert [line["validation"]["main_score"] for line in run.metrics() if "validation" in line]
    assert {len(line["text"]) for line in run.predictions("validation")} == {2}


def test_mixing_single_texts_and_pairs_is_an_error_for_other_tasks(
    tiny_weights: Path, tmp_path: Path
) -> None:
    pairs_file = write_csv(tmp_path / "b.csv", [("a", "b", "x"), ("c", "d", "y")], "text_a,text_b,label")
    overrides = {"model.name": str(tiny_weights), "data.validation": str(pairs_file)}
    with pytest.raises(DataError, match="Expected the same number of text columns"):
        api.check(write_csv(tmp_path / "a.csv", [("a", "x"), ("b", "y")]), settings=overrides)


def test_predict_writes_vectors_to_npy_and_parquet_files(trained: Run, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    texts = [*TEXTS[:2], "", *TEXTS[2:4]]
    lines = "\n".join(texts) + "\n"
    bertune("predict", trained.path, "-", "--out", tmp_path / "v.npy", stdin=lines).fine()
    bertune("predict", trained.path, "-", "--out", tmp_path / "v.parquet", stdin=lines).fine()
    said = bertune("predict", trained.path, "-", stdin=lines).fine().lines
    array = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert array.shape == (5, 36) and array.dtype == np.float32
    assert np.isnan(array[2]).all()
    kept = [0, 1, 3, 4]
    np.testing.assert_array_equal(array[kept], np.array([said[i]["vector"] for i in kept], np.float32))
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column("text").to_pylist() == texts
    assert table.column("vector").to_pylist()[2] is None
    assert table.column("vector").to_pylist()[4] == said[4]["vector"]


def test_writing_vectors_of_triplets_is_an_error(trained: Run, tmp_path: Path) -> None:
    file = tmp_path / "triplets.jsonl"
    row = dict(zip(("anchor", "positive", "negative"), TRIPLETS[0], strict=True))
    file.write_text(json.dumps(row) + "\n")
    result = bertune("predict", trained.path, file, "--out", tmp_path / "v.npy")
    assert result.code and "holds one embedding per text" in result.err
    assert not (tmp_path / "v.npy").exists()


def test_pairs_with_the_same_anchor_stay_in_the_same_split() -> None:
    of_a, also_of_a, of_b = (task().group_key(example(*texts)) for texts in ("ab", "ac", "bc"))
    assert of_a == also_of_a != of_b
