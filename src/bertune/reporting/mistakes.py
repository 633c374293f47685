"""Owns the texts the model was surest about and wrong."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bertune.reporting.wording import percent, real, visible
from bertune.run import JsonObject, Run

MOST = 20
FOLDED = 320  # characters of a text shown before the rest is folded away
LONGEST = 60_000  # characters of a text that the page carries at all


@dataclass(frozen=True)
class Text:
    """One text of an example: its beginning, and the whole where that is longer."""

    opening: str
    whole: str  # empty where the opening is all
    length: str


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction, worded for the page."""

    gold: str
    predicted: str
    confidence: float
    probability: str  # of the predicted label
    gold_probability: str
    texts: list[Text]
    place: str


@dataclass(frozen=True)
class Mistakes:
    """The surest mistakes of a split, and how many there are in all."""

    split: str
    num_texts: int
    num_wrong: int
    surest: list[Mistake]


def read_mistakes(run: Run) -> Mistakes | None:
    """From the test predictions, else those on validation; None where none with probabilities are stored."""
    for split in ("test", "validation"):
        if (run.path / "predictions" / f"{split}.jsonl").is_file():
            return surest_mistakes(split, run.predictions(split))
    return None


def surest_mistakes(split: str, predictions: Iterable[JsonObject]) -> Mistakes | None:
    """Reads predictions once and keeps no more than it shows."""
    num_texts = num_wrong = 0
    kept: list[tuple[float, int, JsonObject]] = []
    for line in predictions:
        if not isinstance(line.get("probabilities"), dict) or line.get("gold") is None:
            continue
        num_texts += 1
        if line["gold"] == line.get("label"):
            continue
        num_wrong += 1
        # The position breaks ties, earlier first, and keeps dictionaries from being compared.
        entry = (_confidence(line, "label"), -num_texts, line)
        if len(kept) < MOST:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    if not num_texts:
        return None
    return Mistakes(split, num_texts, num_wrong, [_mistake(line) for *_, line in sorted(kept, reverse=True)])


def _confidence(line: JsonObject, which: str) -> float:
    probability = real(line["probabilities"].get(str(line.get(which))))
    return 0.0 if probability is None else probability


def _mistake(line: JsonObject) -> Mistake:
    texts = line.get("text") or []
    name = f"id {visible(line['id'])}" if line.get("id") not in (None, "") else ""
    confidence = _confidence(line, "label")
    return Mistake(
        gold=visible(line["gold"]),
        predicted=visible(line.get("label")),
        confidence=confidence,
        probability=percent(line["probabilities"].get(str(line.get("label"))), 1),
        gold_probability=percent(line["probabilities"].get(str(line["gold"])), 1),
        texts=[_text(text) for text in ([texts] if isinstance(texts, str) else texts)],
        place=" · ".join(
            part for part in (visible(line["source"]) if line.get("source") else "", name) if part
        ),
    )


def _text(text: Any) -> Text:
    shown = visible(text)
    if len(shown) <= FOLDED:
        return Text(shown, "", "")
    cut = shown.rfind(" ", FOLDED - 60, FOLDED)
    rest = len(shown) - LONGEST
    whole = shown[:LONGEST] + (f" … ({rest:,} characters more)" if rest > 0 else "")
    return Text(shown[: cut if cut > 0 else FOLDED] + " …", whole, f"{len(shown):,} characters")
