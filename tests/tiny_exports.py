"""Tiny trained models of every kind and their exports, made once for all processes of a test run."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from bertune import api, registry
from bertune.config import TaskConfig
from bertune.tasks import make_task
from small_texts import SPECIAL_TOKENS
from trainings import train

STEPS = 30
ANY_DIFFERENCE = {"export.max_flips": 1.0, "export.max_difference": 10.0, "export.max_score_loss": 10.0}
# Characters on which tokenizers differ: accents, both cases, Chinese, punctuation inside words, a long word.
UNUSUAL = "Café ZÜRICH isn't $5.00 (naïve) 北京 e-mail_address unbelievably"
# Kinds of models besides one for each task, whose rows are those of its sample.
PAIRS = [
    {"query": "how long is the quarantine", "title": "Quarantine lasts ten days", "label": "1"},
    {"query": "how long is the quarantine", "title": "Masks in hospitals", "label": "0"},
    {"query": "do masks protect", "title": "Masks in hospitals", "label": "1"},
    {"query": "do masks protect", "title": "Quarantine lasts ten days", "label": "0"},
]

KINDS = (*registry.names("task"), "pairs")
# Their graphs are like that of classification: a vector of the text and a linear layer.
_SLOW_KINDS = ("multilabel", "ranking", "regression")
EVERY_KIND = [pytest.param(kind, marks=pytest.mark.slow) if kind in _SLOW_KINDS else kind for kind in KINDS]
TESTED_KINDS = [kind for kind in KINDS if kind not in _SLOW_KINDS or os.environ.get("BERTUNE_SLOW_TESTS")]


@dataclass(frozen=True)
class Exports:
    """Runs and exports by kind: the name of a task, or `pairs`, a classifier of two texts. Read only.

    Processes of the same test run share them: whoever needs one first makes it, and the others wait.
    """

    folder: Path
    encoder: Path

    def run(self, kind: str) -> Path:
        """A run that has learned the sample of a task."""
        out = self.folder / kind
        with self._lock(kind):
            if not (out / "model").is_dir():
                self._train(kind, out)
        return out

    def export(self, kind: str, to: str = "onnx") -> Path:
        """The export of a run in a format. For int8 and fp16, any difference from the run is accepted."""
        run = self.run(kind)
        out = run / "export" / to
        with self._lock(f"{kind}-{to}"):
            if not out.is_dir():
                api.export(run, to, settings={} if to == "onnx" else ANY_DIFFERENCE, out=out)
        return out

    def _lock(self, name: str) -> FileLock:
        return FileLock(self.folder / f"{name}.lock")

    def _train(self, kind: str, out: Path) -> None:
        rows = rows_of(kind)
        data = self.folder / f"{kind}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        overrides = {
            "task.name": "classification" if kind == "pairs" else kind,
            "data.validation": str(data),
            "model.name": str(self.encoder),
            "model.dropout": 0,
            "machine.precision": "fp32",
            "machine.threads": 1,
            "train.epochs": STEPS,
            "train.batch_size": len(rows),
            "train.lr": 5e-3,
            "train.evaluate_every": STEPS,
            "train.baselines": False,
            "train.explain": False,
        }
        train(str(data), out, overrides)


def rows_of(kind: str) -> list[dict[str, Any]]:
    """The rows that the model of a kind is trained and validated on."""
    if kind == "pairs":
        return [dict(row) for row in PAIRS]
    return [dict(row) for row in make_task(TaskConfig(name=kind)).sample]


def texts_in(value: object) -> list[str]:
    """All texts in a row, in lists and objects too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for part in value.values() for text in texts_in(part)]
    return [text for part in value for text in texts_in(part)] if isinstance(value, list | tuple) else []


def vocabulary(texts: list[str]) -> list[str]:
    """WordPiece tokens that spell all texts, the same in every run.

    Long words have two pieces, and the words of UNUSUAL a piece for each character. The trainers of
    tokenizers break ties by hash values, which differ between processes.
    """
    normalize, split = BertNormalizer(lowercase=True), BertPreTokenizer()

    def words(text: str) -> list[str]:
        return [word for word, _ in split.pre_tokenize_str(normalize.normalize_str(text))]

    known = [word for text in texts for word in words(text)]
    characters = {character for word in (*known, *words(UNUSUAL)) for character in word}
    starts = {word[:6] for word in known}
    rests = {f"##{word[6:]}" for word in known if len(word) > 6}
    pieces = {*characters, *(f"##{character}" for character in characters), *starts, *rests}
    # Embeddings that weigh as much as the layer, as in a real encoder.
    return [*SPECIAL_TOKENS, *sorted(pieces), *(f"[unused{number}]" for number in range(160))]


def write_encoder(folder: Path) -> None:
    """A randomly initialized BERT of one layer, with a WordPiece vocabulary for all samples."""
    from transformers import BertConfig, BertTokenizerFast

    tokens = vocabulary([text for kind in KINDS for row in rows_of(kind) for text in texts_in(row)])
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    BertConfig(
        vocab_size=len(tokens),
        hidden_size=36,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=37,
        max_position_embeddings=64,
        initializer_range=0.1,
    ).save_pretrained(folder)
