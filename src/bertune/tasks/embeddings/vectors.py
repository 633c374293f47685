"""Vectors as predictions, the scores that need all of them, and model folders of sentence-transformers.

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

_BY_SIZE = "Vectors cut off"


@dataclass(frozen=True)
class VectorPrediction:
    """For one text its vector, of length 1; for several the cosine of each further text with the first."""

    vector: list[float] | None
    similarities: list[float] | None


class WithVectors(VectorPrediction):
    """The same with the vectors of all texts, which scores need and no file stores."""

    def __init__(self, vectors_RH: Vectors) -> None:
        alone = len(vectors_RH) == 1
        super().__init__(
            vectors_RH[0].tolist() if alone else None,
            None if alone else (vectors_RH[1:] @ vectors_RH[0]).tolist(),
        )
        self.vectors_RH = vectors_RH


def normalized(vectors_RH: Vectors) -> Vectors:
    """Vectors of length 1 in float32, as torch's `normalize` makes them: zeros stay zeros."""
    lengths = np.linalg.norm(vectors_RH, axis=1, keepdims=True)
    found: Vectors = vectors_RH / np.maximum(lengths, np.float32(1e-12))  # the eps of torch
    return found


def vectors_of(prediction: VectorPrediction) -> Vectors:
    """The vectors of an example's texts, [R, H]."""
    assert isinstance(prediction, WithVectors), "scores are of predictions just made, not of stored ones"
    return prediction.vectors_RH


def collection(
    predictions: SequenceOf[VectorPrediction], texts: SequenceOf[tuple[str, ...]]
) -> tuple[Vectors, Vectors, list[set[int]], list[set[int]]]:
    """Queries [Q, H] and documents [D, H] of all examples, each text once, and for each query the documents
    that belong to it, and the one that is the query itself."""
    queries: dict[str, Vectors] = {}
    documents: dict[str, Vectors] = {}
    positives: dict[str, set[str]] = defaultdict(set)
    for prediction, (query, *others) in zip(predictions, texts, strict=True):
        first, *rest = vectors_of(prediction)
        queries.setdefault(query, first)
        positives[query].add(others[0])
        for text, vector in zip(others, rest, strict=True):
            documents.setdefault(text, vector)
    number = {text: i for i, text in enumerate(documents)}
    relevant = [{number[text] for text in positives[query]} for query in queries]
    itself = [
        {number[query]} if query in number and query not in positives[query] else set() for query in queries
    ]
    return np.stack(list(queries.values())), np.stack(list(documents.values())), relevant, itself


def likeness_by_size(
    predictions: SequenceOf[VectorPrediction], gold_N: NDArray[np.float64], sizes: SequenceOf[int]
) -> list[dict[str, Any]]:
    """A table of the correlation with gold scores where vectors are cut off at each size."""
    rows = []
    for size in sizes:
        pairs = [_cut(vectors_of(p), size) for p in predictions]
        found = correlations(gold_N, np.array([float(pair[0] @ pair[1]) for pair in pairs]))
        rows.append([str(size), found["spearman"], found["pearson"]])
    return [table(_BY_SIZE, ["numbers", "spearman", "pearson"], rows)] if rows else []


def retrieval_by_size(
    queries_QH: Vectors,
    documents_DH: Vectors,
    relevant: list[set[int]],
    itself: list[set[int]],
    sizes: SequenceOf[int],
) -> list[dict[str, Any]]:
    """A table of retrieval's scores where vectors are cut off at each size."""
    rows = []
    for size in sizes:
        found = retrieval(_cut(queries_QH, size), _cut(documents_DH, size), relevant, itself)
        rows.append([str(size), *found.values()])
    return [table(_BY_SIZE, ["numbers", "recall@1", "recall@10", "MRR@10"], rows)] if rows else []


def _cut(vectors_RH: Vectors, size: int) -> Vectors:
    cut = vectors_RH[:, :size]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    found: Vectors = cut / np.maximum(lengths, np.finfo(np.float32).tiny)
    return found


def save_as_sentence_transformer(folder: Path, max_length: int) -> None:
    """Writes the files that make the folder a sentence-transformers model, unless it has a custom head."""
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
