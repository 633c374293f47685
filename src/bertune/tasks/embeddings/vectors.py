"""Vector predictions, scores computed from all vectors, and export to sentence-transformers.

Dimensions: R texts of an example, Q queries, D documents, H numbers of a vector.
"""

import json
from collections import defaultdict
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.hugging_face import HEAD_FILE, load_config
from bertune.metrics.correlation import correlations
from bertune.metrics.details import table
from bertune.metrics.retrieval import retrieval

Vectors = NDArray[np.float32]

_BY_SIZE = "Truncated vectors"


@dataclass(frozen=True)
class VectorPrediction:
    """The normalized vector of a single text, or the cosines between the first text and each other one."""

    vector: list[float] | None
    similarities: list[float] | None


class WithVectors(VectorPrediction):
    """A VectorPrediction with the vectors of all texts, for computing scores. Files do not store them."""

    def __init__(self, vectors_RH: Vectors) -> None:
        is_single = len(vectors_RH) == 1
        super().__init__(
            vectors_RH[0].tolist() if is_single else None,
            None if is_single else (vectors_RH[1:] @ vectors_RH[0]).tolist(),
        )
        self.vectors_RH = vectors_RH


def normalized(vectors_RH: Vectors) -> Vectors:
    """Vectors scaled to length 1 in fp32, like torch's `normalize`; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors_RH, axis=1, keepdims=True)
    unit_RH: Vectors = vectors_RH / np.maximum(lengths, np.float32(1e-12))  # torch's eps
    return unit_RH


def vectors_of(prediction: VectorPrediction) -> Vectors:
    """The vectors [R, H] of the texts of an example."""
    assert isinstance(prediction, WithVectors), "stored predictions have no vectors to score"
    return prediction.vectors_RH


def collection(
    predictions: SequenceOf[VectorPrediction], texts: SequenceOf[tuple[str, ...]]
) -> tuple[Vectors, Vectors, list[set[int]], list[set[int]]]:
    """The vectors of the distinct queries, [Q, H], and documents, [D, H], of all examples.

    For each query also the indices of its relevant documents, and the index of the document with the same
    text as the query, if any.
    """
    queries: dict[str, Vectors] = {}
    documents: dict[str, Vectors] = {}
    for prediction, (query, *others) in zip(predictions, texts, strict=True):
        first, *rest = vectors_of(prediction)
        queries.setdefault(query, first)
        for text, vector in zip(others, rest, strict=True):
            documents.setdefault(text, vector)
    _, relevant, itself = relevant_documents(texts)
    return np.stack(list(queries.values())), np.stack(list(documents.values())), relevant, itself


def relevant_documents(texts: SequenceOf[tuple[str, ...]]) -> tuple[int, list[set[int]], list[set[int]]]:
    """The number of distinct documents, numbered by first occurrence.

    For each query also the indices of its relevant documents, and the index of the document with the same
    text as the query, if any.
    """
    positives: dict[str, set[str]] = defaultdict(set)
    for query, positive, *_ in texts:
        positives[query].add(positive)
    number = {text: i for i, text in enumerate(dict.fromkeys(t for _, *others in texts for t in others))}
    relevant = [{number[text] for text in of_query} for of_query in positives.values()]
    itself = [
        {number[query]} if query in number and query not in of_query else set()
        for query, of_query in positives.items()
    ]
    return len(number), relevant, itself


def correlation_by_size(
    predictions: SequenceOf[VectorPrediction], gold_N: NDArray[np.float64], sizes: SequenceOf[int]
) -> list[dict[str, Any]]:
    """A table of the correlations with gold scores for vectors truncated to each size."""
    rows = []
    for size in sizes:
        pairs = [_cut(vectors_of(p), size) for p in predictions]
        scores = correlations(gold_N, np.array([float(pair[0] @ pair[1]) for pair in pairs]))
        rows.append([str(size), scores["spearman"], scores["pearson"]])
    return [table(_BY_SIZE, ["dimensions", "spearman", "pearson"], rows)] if rows else []


def retrieval_by_size(
    queries_QH: Vectors,
    documents_DH: Vectors,
    relevant: list[set[int]],
    itself: list[set[int]],
    sizes: SequenceOf[int],
) -> list[dict[str, Any]]:
    """A table of the retrieval scores for vectors truncated to each size."""
    rows = []
    for size in sizes:
        scores = retrieval(_cut(queries_QH, size), _cut(documents_DH, size), relevant, itself)
        rows.append([str(size), *scores.values()])
    return [table(_BY_SIZE, ["dimensions", "recall@1", "recall@10", "MRR@10"], rows)] if rows else []


def _cut(vectors_RH: Vectors, size: int) -> Vectors:
    cut = vectors_RH[:, :size]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    unit_RH: Vectors = cut / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit_RH


def save_as_sentence_transformer(folder: Path, max_length: int) -> None:
    """Write the files of a sentence-transformers model to a folder, unless the model has a custom head."""
    if (folder / HEAD_FILE).exists():
        return
    modules = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    files: dict[str, Any] = {
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
            for i, (name, path) in enumerate(modules.items())
        ],
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
        "1_Pooling/config.json": {
            "word_embedding_dimension": load_config(folder).hidden_size,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_cls_token": False,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }
    for name in filter(None, modules.values()):
        (folder / name).mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
