"""The tasks of the quality comparison: data, recipe of both sides, displayed scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slices import Part

# Both sides score the final weights, as the examples do, without intermediate evaluations or checkpoints.
LAST_ONLY = ("train.evaluate_every=1000000", "train.checkpoint_every=1000000")


@dataclass(frozen=True)
class Recipe:
    """The recipe of both sides; `more` has further values for the peer."""

    epochs: int
    batch_size: int
    lr: float
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """The recipe in the form that the peers read."""
        return json.dumps({"epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr, **self.more})

    def overrides(self) -> tuple[str, ...]:
        """The recipe as settings of bertune."""
        return (
            f"train.epochs={self.epochs}",
            f"train.batch_size={self.batch_size}",
            f"train.lr={self.lr:g}",
            *LAST_ONLY,
        )


@dataclass(frozen=True)
class Task:
    """One comparison: settings of bertune, displayed scores, and a description of the data.

    With `parts`, both sides read the same files and follow `recipe`. Without, bertune trains on a named data
    set and the peer selects its recipe by the name of the task.
    """

    kind: str
    overrides: tuple[str, ...]
    scores: tuple[str, ...]
    about: str
    peer: str = "hf_trainer"  # the script in peers/
    parts: Mapping[str, Part] = field(default_factory=dict)
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Kind:
    """A section of the page: its title, the name of the peer, and a description of the recipe."""

    title: str
    peer: str
    recipe: str


_ALIKE = (
    "all-MiniLM-L6-v2 with a new head, warmup over the first 10% of the steps, then linear decay, weight "
    "decay 0.01 except on biases and LayerNorm, gradients clipped at 1.0, dropout from the model's config"
)
_LAST = (
    "The final weights are scored, as in the example. The peer trains with bfloat16 autocast and fused AdamW "
    "on random batches padded to their longest row; its model is reloaded from disk and predicts in fp32."
)

KINDS = {
    "classification": Kind(
        "Classification",
        "HF Trainer",
        f"{_ALIKE}, learning rate 5e-5, batches of 32, evaluation after each epoch, and selection of the "
        "epoch with the best validation MCC. The Trainer uses bfloat16 autocast, batches grouped by length, "
        "padding to the longest row of a batch and fused AdamW.",
    ),
    "tokens": Kind(
        "Tokens",
        "HF Trainer",
        f"{_ALIKE}, no truncation. The peer follows run_ner: one class per tag, trained on the first subword "
        "of each word; the most probable class is predicted; entities are decoded and scored as in seqeval. "
        f"bertune predicts the most probable valid tag sequence. {_LAST}",
    ),
    "qa": Kind(
        "Extractive question answering",
        "HF Trainer",
        f"{_ALIKE}, overlapping windows, answers of at most 30 tokens from the 20 best starts and ends. The "
        f"peer follows run_qa and its utils_qa, with its own implementation of the SQuAD scores. A batch "
        f"contains questions in bertune and windows in the peer; here each training question has one window. "
        f"{_LAST}",
    ),
    "choice": Kind(
        "Multiple choice",
        "HF Trainer",
        f"{_ALIKE}, no truncation. The peer follows run_swag: the first text is the dialogue, the second the "
        f"question and a choice. {_LAST}",
    ),
    "embeddings": Kind(
        "Embeddings",
        "sentence-transformers",
        f"{_ALIKE.replace(' with a new head', ', mean pooling')}, no truncation. The peer is "
        f"SentenceTransformerTrainer. {_LAST}",
    ),
}

TASKS = {
    "cola": Task(
        "classification",
        ("model.name=minilm", "train.epochs=4"),
        ("test.mcc", "validation.mcc", "test.accuracy"),
        "8,551 sentences, 4 epochs; validation: in-domain dev (527); test: out-of-domain dev (516)",
    ),
    "mrpc": Task(
        "classification",
        ("model.name=minilm", "train.epochs=3", "model.max_length=128", "train.best_metric=mcc"),
        ("validation.accuracy", "validation.f1", "test.accuracy", "test.f1", "test.mcc"),
        "3,668 sentence pairs, 3 epochs; validation: dev (408); test: the published test set "
        "(1,725); f1 refers to class 1",
    ),
    "sst2": Task(
        "classification",
        ("model.name=minilm", "train.epochs=1", "train.max_examples=20000"),
        ("validation.accuracy", "validation.f1"),
        "the first 20,000 rows, 1 epoch; validation: dev (872); f1 refers to class 1",
    ),
    "conll2003": Task(
        "tokens",
        ("model.name=minilm", "model.max_length=512", "task.name=token_classification", "data.reader=conll"),
        ("validation.f1", "validation.precision", "validation.recall", "validation.accuracy"),
        "the first 700 sentences of train.txt, 3 epochs, batches of 16, learning rate 1e-4; validation: "
        "the first 700 sentences of valid.txt; precision, recall and f1 of exactly matched entities",
        peer="hf_tokens",
        parts={
            "train": Part("conll2003/train.txt", "conll", stop=700),
            "validation": Part("conll2003/valid.txt", "conll", stop=700),
        },
        recipe=Recipe(3, 16, 1e-4, {"max_length": 512}),
    ),
    "tydiqa_en": Task(
        "qa",
        ("model.name=minilm", "model.max_length=384", "task.name=question_answering", "task.stride=128"),
        ("validation.f1", "validation.em"),
        "TyDi QA, English: the first 300 questions on passages of at most 600 characters, 2 epochs, batches "
        "of 8, learning rate 1e-4, windows of 384 tokens with an overlap of 128; validation: the last 200 "
        "questions of the file, on passages of any length",
        peer="hf_qa",
        parts={
            "train": Part("tydiqa_en/tydiqa.goldp.en.train.json", "squad", stop=300, most_characters=600),
            "validation": Part("tydiqa_en/tydiqa.goldp.en.train.json", "squad", start=-200),
        },
        recipe=Recipe(2, 8, 1e-4, {"max_length": 384, "stride": 128}),
    ),
    "dream": Task(
        "choice",
        ("model.name=minilm", "model.max_length=256", "task.name=multiple_choice", "data.reader=dream"),
        ("validation.accuracy",),
        "DREAM: the questions on the first 300 dialogues of at most 150 characters, 2 epochs, batches of 8, "
        "learning rate 1e-4; validation: those on the first 300 such dialogues of dev.json; chance: 0.33",
        peer="hf_choice",
        parts={
            "train": Part("dream/train.json", "dream", stop=300, most_characters=150),
            "validation": Part("dream/dev.json", "dream", stop=300, most_characters=150),
        },
        recipe=Recipe(2, 8, 1e-4, {"max_length": 256}),
    ),
    "stsb": Task(
        "embeddings",
        (
            "model.name=minilm", "task.name=embeddings", "task.loss=mse", "data.text=sentence1,sentence2",
            "data.label=score", "data.quoting=false", "data.delimiter=tab",
        ),
        ("validation.spearman", "validation.pearson"),
        "STS-B: the first 1,500 pairs of train.tsv, 1 epoch, batches of 16, learning rate 5e-5, squared "
        "error of the cosine (CosineSimilarityLoss in the peer); validation: every second pair of dev.tsv "
        "(750)",
        peer="st_embeddings",
        parts={
            "train": Part("stsb/train.tsv", "headed", stop=1500),
            "validation": Part("stsb/dev.tsv", "headed", step=2),
        },
        recipe=Recipe(1, 16, 5e-5, {"loss": "mse"}),
    ),
}  # fmt: skip
