"""The words of the test texts, and the configuration of the tiny BERT."""

import csv
import random
from pathlib import Path
from typing import Any

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GOOD = ("great", "lovely", "sturdy", "bright", "quick", "cheap", "clear", "handy")
BAD = ("broken", "dull", "slow", "noisy", "weak", "late", "torn", "useless")
PLAIN = (
    "a", "an", "and", "it", "is", "was", "the", "this", "that", "my", "your", "our", "with", "for",
    "of", "on", "in", "at", "by", "to", "from", "very", "so", "too", "all", "some", "no", "one", "two",
    "phone", "lamp", "chair", "table", "cable", "screen", "button", "handle", "bag", "box", "book",
    "pen", "cup", "plate", "clock", "radio", "camera", "lens", "case", "door", "lock", "key", "wheel",
    "brake", "seat", "pump", "hose", "valve", "motor", "fan", "filter", "cover", "lid", "strap", "belt",
    "shoe", "sock", "coat", "shirt", "day", "week", "month", "year", "morning", "night", "house",
    "shop", "street", "garden", "kitchen", "office", "train", "bus", "colour", "size", "weight",
    "price", "bought", "sold", "gave", "took", "kept", "sent", "used", "found", "came", "went",
)  # fmt: skip
PIECES = ("##s", "##ing", ".", ",", "!")

TINY_BERT: dict[str, Any] = {
    # All dimensions differ, so that transposed tensors cause an error.
    "vocab_size": len(SPECIAL_TOKENS) + len(GOOD) + len(BAD) + len(PLAIN) + len(PIECES),
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}


def write_vocabulary(folder: Path) -> None:
    """Writes vocab.txt for a BERT tokenizer with the words above."""
    words = (*SPECIAL_TOKENS, *GOOD, *BAD, *PLAIN, *PIECES)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def labelled_texts(num: int, seed: int = 5) -> list[tuple[str, str]]:
    """Short texts of different lengths, labelled `good` or `bad` according to one of their words."""
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
