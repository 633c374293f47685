"""What every test may use: a tiny random BERT, a few labelled texts, no network."""

import os

# Before anything imports the libraries that read them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models this small only wait for a second thread

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GOOD = ("great", "lovely", "sturdy", "bright", "quick", "cheap", "clear", "handy")
BAD = ("broken", "dull", "slow", "noisy", "weak", "late", "torn", "useless")
PLAIN = tuple(
    "a an and it is was the this that my your our with for of on in at by to from very so too all some no one two "
    "phone lamp chair table cable screen button handle bag box book pen cup plate clock radio camera lens case "
    "door lock key wheel brake seat pump hose valve motor fan filter cover lid strap belt shoe sock coat shirt "
    "day week month year morning night house shop street garden kitchen office train bus colour size weight price "
    "bought sold gave took kept sent used found came went".split()
)
PIECES = ("##s", "##ing", ".", ",", "!")

TINY_BERT: dict[str, Any] = {
    # No dimension equals another, so that a transposition cannot pass.
    "vocab_size": len(SPECIAL_TOKENS) + len(GOOD) + len(BAD) + len(PLAIN) + len(PIECES),
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}


def write_vocabulary(folder: Path) -> None:
    """vocab.txt for a BERT tokenizer that knows the words above."""
    words = (*SPECIAL_TOKENS, *GOOD, *BAD, *PLAIN, *PIECES)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def labelled_texts(num: int, seed: int = 5) -> list[tuple[str, str]]:
    """Short texts, `good` or `bad` by a word in them, of different lengths."""
    draw = random.Random(seed)
    rows = []
    for number in range(num):
        label, telling = [("good", GOOD), ("bad", BAD)][number % 2]
        words = draw.choices(PLAIN, k=draw.randint(1, 14))
        words.insert(draw.randrange(len(words) + 1), draw.choice(telling))
        rows.append((" ".join(words), label))
    return rows


def write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    """A CSV file with a header line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as a user describes one to train from nothing: config.json and vocab.txt, no weights. Read only."""
    from transformers import BertConfig

    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    BertConfig(**TINY_BERT).save_pretrained(folder)
    write_vocabulary(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same BERT with model.safetensors, a two-label head in it, and tokenizer.json. Read only."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-weights"
    folder.mkdir()
    write_vocabulary(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(13)
        # Larger than the usual 0.02, so that attention and dropout make a difference that can be seen.
        model = BertForSequenceClassification(BertConfig(**TINY_BERT, initializer_range=0.15))
    model.save_pretrained(folder)
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return folder


@pytest.fixture(scope="session")
def reviews_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-one short labelled texts: columns text, label. Read only."""
    return write_csv(tmp_path_factory.mktemp("data") / "reviews.csv", ("text", "label"), labelled_texts(61))


@pytest.fixture(scope="session")
def pairs_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-one labelled pairs of texts: columns question, sentence, label. Read only."""
    firsts, seconds = labelled_texts(31, seed=7), labelled_texts(31, seed=8)
    rows = [(a, b, "same" if i % 3 else "other") for i, ((a, _), (b, _)) in enumerate(zip(firsts, seconds))]
    return write_csv(tmp_path_factory.mktemp("data") / "pairs.csv", ("question", "sentence", "label"), rows)


@pytest.fixture
def settings(tiny_weights: Path) -> Callable[..., dict[str, Any]]:
    """Overrides for a training that takes a second: `settings(**{"train.lr": 1e-3})`."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "model.name": str(tiny_weights),
            "machine.precision": "fp32",
            "machine.device": "cpu",
            "train.epochs": 2,
            "train.batch_size": 8,
            "train.lr": 1e-3,
            **changes,
        }

    return make
