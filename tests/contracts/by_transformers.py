"""The predictions of other libraries for a saved folder, and those of bertune: one function per task.

Each function takes the folder, the loaded model and the rows of the task's sample without labels, and
returns the two lists to compare. The first list is computed without bertune.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from bertune.predict.model import Model

Rows = list[dict[str, Any]]
Both = tuple[list[Any], list[Any]]


def _scores(folder: Path, rows: Rows) -> list[dict[str, float]]:
    """All labels with their scores, from the text-classification pipeline with its defaults."""
    pipeline = transformers.pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    inputs = [dict(zip(("text", "text_pair"), row.values(), strict=False)) for row in rows]
    # One by one, because padding a list of pairs would cause rounding differences without saving time.
    return [{found["label"]: found["score"] for found in pipeline(item)} for item in inputs]


def _cross_encoder(folder: Path, rows: Rows) -> list[float]:
    from sentence_transformers import CrossEncoder

    pairs = [list(row.values()) for row in rows]
    found: list[float] = CrossEncoder(str(folder), device="cpu").predict(pairs).tolist()
    return found


def _probabilities(folder: Path, model: Model, rows: Rows) -> Both:
    return _scores(folder, rows), [p.probabilities for p in model.predict(rows)]


def _numbers(folder: Path, model: Model, rows: Rows) -> Both:
    ours = [p.value for p in model.predict(rows)]
    theirs = [score for scores in _scores(folder, rows) for score in scores.values()]
    return [*theirs, *_cross_encoder(folder, rows)], ours * 2


def _relevance(folder: Path, model: Model, rows: Rows) -> Both:
    ours = [p.score for p in model.predict(rows)]
    theirs = [score for scores in _scores(folder, rows) for score in scores.values()]
    return [*theirs, *_cross_encoder(folder, rows)], ours * 2


def _entities(folder: Path, model: Model, rows: Rows) -> Both:
    pipeline = transformers.pipeline(
        "token-classification", model=str(folder), aggregation_strategy="first", device="cpu"
    )
    theirs = [
        [(e["entity_group"], e["start"], e["end"]) for e in pipeline(" ".join(row["tokens"]))] for row in rows
    ]
    return theirs, [[(s["label"], s["start"], s["end"]) for s in p.spans] for p in model.predict(rows)]


def _choices(folder: Path, model: Model, rows: Rows) -> Both:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    hf = transformers.AutoModelForMultipleChoice.from_pretrained(folder).eval()
    theirs = []
    for row in rows:
        seconds = [f"{row['question']} {choice}" for choice in row["choices"]]
        pairs = tokenizer([row["context"]] * len(seconds), seconds, padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = hf(**{name: tensor[None] for name, tensor in pairs.items()}).logits[0]
        theirs.append(logits.softmax(-1).tolist())
    return theirs, [p.probabilities for p in model.predict(rows)]


def _answers(folder: Path, model: Model, rows: Rows) -> Both:
    """Start and end by their logits; no answer if the first token scores higher (Devlin et al. 2019)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    hf = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    theirs = []
    for row in rows:
        found = tokenizer(row["question"], row["context"], return_tensors="pt", return_offsets_mapping=True)
        offsets = found.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            outputs = hf(**found)
        starts, ends = outputs.start_logits[0], outputs.end_logits[0]
        inside = [i for i, owner in enumerate(found.sequence_ids(0)) if owner == 1]
        best, first, last = max(
            (float(starts[i] + ends[j]), i, j) for i in inside for j in inside if i <= j < i + 30
        )
        is_withheld = float(starts[0] + ends[0]) > best
        theirs.append(None if is_withheld else row["context"][offsets[first][0] : offsets[last][1]])
    return theirs, [p.answer for p in model.predict(rows)]


def _masked_words(folder: Path, model: Model, rows: Rows) -> Both:
    texts = [f"{row['text'].split()[0]} [MASK]" for row in rows]
    pipeline = transformers.pipeline("fill-mask", model=str(folder), top_k=3, device="cpu")
    theirs = [{found["token_str"]: found["score"] for found in pipeline(text)} for text in texts]
    ours = [p.masks[0]["best"] for p in model.predict(texts)]
    return theirs, [{word: best[word] for word in list(best)[:3]} for best in ours]


def _vectors(folder: Path, model: Model, rows: Rows) -> Both:
    from sentence_transformers import SentenceTransformer

    texts = [text for row in rows for text in row.values()]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts)
    return np.asarray(theirs).tolist(), model.encode(texts).tolist()


BOTH: dict[str, Callable[[Path, Model, Rows], Both]] = {
    "classification": _probabilities,
    "embeddings": _vectors,
    "language_modelling": _masked_words,
    "multilabel": _probabilities,
    "multiple_choice": _choices,
    "question_answering": _answers,
    "ranking": _relevance,
    "regression": _numbers,
    "token_classification": _entities,
}


def assert_close(found: Any, expected: Any) -> None:
    """Asserts equality, up to rounding of numbers."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-5)
    else:
        assert found == expected
