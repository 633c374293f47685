"""Formats the recorded prediction errors for the page: sentences, excerpts of long texts, marked spans."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bertune.errors import counted
from bertune.files import JsonObject, read_object
from bertune.manifest.mistakes import MistakesRecord
from bertune.record import checked
from bertune.reporting.wording import count, decimal, escaped, percent, visible
from bertune.run import PREDICTIONS, Run

FOLDED = 320  # characters: longer texts are folded
AROUND = 110  # characters of context shown on either side of a marked span
MOST_EXCERPT = 900  # characters
MOST_KINDS = 15  # kinds of errors shown with examples
MOST_EXAMPLES = 3  # per kind
SHORT = 90  # characters of such an example
LEAST_WEIGHT = 5  # percent of the largest contribution; smaller ones are not shaded
LONGEST = 60_000  # characters of one text included in the page, to limit its size
Words = list[tuple[int, int, int]]  # first character, last character + 1, weight in percent
ROLE_WORDS = {"right": "", "wrong": "predicted", "missed": "gold", "explained": ""}


@dataclass(frozen=True)
class Piece:
    """A stretch of text, followed by the tags of the marks that end there."""

    text: str
    roles: str = ""  # CSS classes
    tags: tuple[tuple[str, str], ...] = ()  # role and wording of each mark
    weight: int = 0  # contribution to the prediction, in percent of the largest one; negative: against it


@dataclass(frozen=True)
class Text:
    """One text of an example: its beginning or the marked spans, and the whole text if that is longer."""

    name: str
    opening: list[Piece]
    whole: list[Piece]  # empty if the opening is the whole text
    length: str


@dataclass(frozen=True)
class Fact:
    """A named value of an example, such as its gold label."""

    name: str
    text: str
    role: str
    probability: str


@dataclass(frozen=True)
class Item:
    """One of the choices or ranked documents of an example."""

    rank: str
    text: Text
    role: str
    note: str
    explanation: "Explanation | None"


@dataclass(frozen=True)
class Mistake:
    """One misclassified example, formatted for the page."""

    lead: str
    facts: list[Fact]
    texts: list[Text]
    items: list[Item]
    place: str
    number: int  # in the order of the list, from 1
    length: int  # characters
    row: int  # in the file
    kinds: list[str]
    explanation: "Explanation | None"


@dataclass(frozen=True)
class Explanation:
    """How much the words contributed to the prediction; `texts` are those that the error does not show."""

    sentence: str
    texts: list[Text]


@dataclass(frozen=True)
class KindOfError:
    """A kind of error with the number of errors, and examples: number and beginning of each."""

    name: str
    count: str
    examples: list[tuple[int, str]]


@dataclass(frozen=True)
class Mistakes:
    """The worst errors on a split, and a sentence with their number."""

    title: str
    sentence: str
    shown: list[Mistake]
    kinds: list[KindOfError]
    is_explained: bool  # whether words are shaded


def read_mistakes(run: Run) -> Mistakes | None:
    """The recorded errors on the test split, else on validation; None if none were recorded."""
    for split in ("test", "validation"):
        file = run.path / PREDICTIONS / f"{split}.mistakes.json"
        if file.is_file():
            recorded = read_object(file)
            checked(MistakesRecord, recorded, file)
            return worded(split, recorded)
    return None


def worded(split: str, recorded: JsonObject) -> Mistakes | None:
    """A stored `bertune.metrics.mistakes.Mistakes`, formatted for the page; None if nothing was scored."""
    if not recorded.get("num"):
        return None
    shown = [_mistake(recorded, one, i) for i, one in enumerate(recorded.get("shown") or [], start=1)]
    title = visible(recorded.get("title") or "Errors")
    is_explained = any(one.explanation or any(item.explanation for item in one.items) for one in shown)
    return Mistakes(
        title, _sentence(split, recorded, len(shown)), shown, _kinds(recorded, shown), is_explained
    )


def _kinds(recorded: JsonObject, shown: list[Mistake]) -> list[KindOfError]:
    """The recorded kinds of errors, each with its worst examples."""
    examples: dict[str, list[tuple[int, str]]] = {}
    for one in shown:
        for kind in one.kinds:
            found = examples.setdefault(kind, [])
            text = " | ".join("".join(p.text for p in text.opening) for text in one.texts)
            short = text if len(text) <= SHORT else f"{text[:SHORT]} …"
            # An example may have several errors of a kind, and a file the same text several times.
            if len(found) < MOST_EXAMPLES and short not in (known for _, known in found):
                found.append((one.number, short))
    kinds = recorded.get("kinds") or {}
    return [
        KindOfError(visible(name), count(number), examples.get(visible(name), []))
        for name, number in list(kinds.items())[:MOST_KINDS]
    ]


def _sentence(split: str, recorded: JsonObject, num_shown: int) -> str:
    number, wrong, what = recorded["num"], recorded.get("num_wrong"), str(recorded.get("what") or "")
    units = counted(number, f"{split} {recorded.get('unit') or 'text'}")
    if wrong == 0:
        return f"None of the {units} {what}." if number > 1 else f"The only {units[2:]} {_not(what)}."
    order = str(recorded.get("order") or "Sorted by severity")
    if wrong is None:
        return f"{order}. Showing {num_shown} of {units}; some may be labelling errors."
    cut = f"; {num_shown} of them are shown" if wrong > num_shown else ""
    what = _of_one(what) if wrong == 1 else what
    return f"{count(wrong)} of {units} {what}{cut}. {order}; some may be labelling errors."


def _of_one(what: str) -> str:
    """A predicate such as "were misclassified" in the singular."""
    verb, _, rest = what.partition(" ")
    return f"{ {'were': 'was', 'have': 'has'}.get(verb, verb) } {rest}"


def _not(what: str) -> str:
    """A predicate in the singular, negated."""
    verb, _, rest = what.partition(" ")
    return f"was not {rest}" if verb == "were" else f"does not {verb} {rest}"


def _mistake(recorded: JsonObject, one: JsonObject, number: int) -> Mistake:
    name = f"id {visible(one['id'])}" if one.get("id") else ""
    source = visible(one["source"]) if one.get("source") else ""
    passages = list(one.get("passages") or [])
    texts = [str(passage.get("text") or "") for passage in passages]
    explanation = one.get("explanation")
    # Marks and shades would be hard to tell apart on one text.
    is_inside = bool(
        explanation
        and texts == explanation["texts"]
        and not any(passage.get("marks") for passage in passages)
    )
    weights = _weights(explanation) if explanation else {}
    places = _places(explanation) if explanation else {}
    inside = range(len(texts)) if is_inside else ()
    return Mistake(
        lead=visible(one["lead"]) if one.get("lead") else _lead(recorded, one.get("measure")),
        facts=[
            Fact(visible(f.get("name")), visible(f.get("text")), _role(f), _probability(f))
            for f in one.get("facts") or []
        ],
        texts=[
            _text({**one, "marks": places.get(i)}, weights.get(i)) if i in inside else _text(one)
            for i, one in enumerate(passages)
        ],
        items=[_item(item) for item in one.get("items") or []],
        place=" · ".join(part for part in (source, name) if part),
        number=number,
        length=sum(map(len, texts)),
        row=int(found[1]) if (found := re.search(r" (\d+)$", source)) else 0,
        kinds=[visible(kind) for kind in one.get("kinds") or []],
        explanation=_explanation(explanation, inside) if explanation else None,
    )


def _weights(explanation: JsonObject) -> dict[int, Words]:
    """The words of each text, with their contributions in percent of the largest one."""
    words = explanation.get("words") or []
    largest = max((abs(word[3]) for word in words), default=0.0) or 1.0
    found: dict[int, Words] = {}
    for text, start, end, contribution in words:
        found.setdefault(int(text), []).append((int(start), int(end), round(100 * contribution / largest)))
    return found


def _places(explanation: JsonObject) -> dict[int, list[JsonObject]]:
    """The explained parts of each text, as marks."""
    found: dict[int, list[JsonObject]] = {}
    for text, start, end in explanation.get("places") or []:
        found.setdefault(int(text), []).append({"start": start, "end": end, "role": "explained"})
    return found


def _explanation(explanation: JsonObject, inside: Collection[int]) -> Explanation:
    """An explanation for the page; the texts at the positions `inside` are shaded where they are shown."""
    weights, places = _weights(explanation), _places(explanation)
    target, value, baseline = (explanation.get(key) for key in ("target", "value", "baseline"))
    what = f" of “{visible(target)}”" if isinstance(target, str) else ""
    sentence = f"Logit{what}: {decimal(value, 2)}; with all words masked: {decimal(baseline, 2)}"
    texts = explanation.get("texts") or []
    shown = [
        _text({"text": text, "marks": places.get(i)}, weights.get(i))
        for i, text in enumerate(texts)
        if i not in inside
    ]
    return Explanation(sentence, shown)


def _lead(recorded: JsonObject, value: Any) -> str:
    if recorded.get("is_probability"):
        return percent(value, 1)
    number = count(value) if isinstance(value, int) else decimal(value)
    return str(recorded.get("measure") or "{}").replace("{}", number)


def _role(recorded: JsonObject) -> str:
    role = str(recorded.get("role") or "")
    return role if role in ROLE_WORDS else ""


def _probability(recorded: JsonObject) -> str:
    return "" if recorded.get("probability") is None else percent(recorded["probability"], 1)


def _item(recorded: JsonObject) -> Item:
    notes = (visible(recorded["note"]) if recorded.get("note") else "", _probability(recorded))
    explanation = recorded.get("explanation")
    texts = (explanation.get("texts") or []) if explanation else []
    # The text of the item itself is shaded in place, and the others, such as the query, below it.
    inside = [i for i, text in enumerate(texts) if text == recorded.get("text")][-1:]
    words = _weights(explanation).get(inside[0]) if explanation and inside else None
    return Item(
        rank=f"{count(recorded['rank'])}." if recorded.get("rank") else "",
        text=_text(recorded, words),
        role=_role(recorded),
        note=" · ".join(note for note in notes if note),
        explanation=_explanation(explanation, inside) if explanation else None,
    )


def _text(recorded: JsonObject, words: Words | None = None) -> Text:
    text, marks = str(recorded.get("text") or ""), list(recorded.get("marks") or [])
    words = words or []
    name = visible(recorded["name"]) if recorded.get("name") else ""
    if not text.strip():
        return Text(name, [Piece(visible(text))], [], "")
    if len(text) <= FOLDED:
        return Text(name, _pieces(text, marks, 0, len(text), words), [], "")
    whole = _pieces(text, marks, 0, min(len(text), LONGEST), words)
    if len(text) > LONGEST:
        whole.append(Piece(f" … ({len(text) - LONGEST:,} more characters)"))
    cut = _cut(text, FOLDED)
    opening = _excerpt(text, marks, words) if marks else [*_pieces(text, [], 0, cut, words), Piece(" …")]
    return Text(name, opening, whole, f"{len(text):,} characters")


def _excerpt(text: str, marks: list[JsonObject], words: Words) -> list[Piece]:
    """The spans marked as wrong or missed (all marked spans if there are none), with some context."""
    relevant = [mark for mark in marks if mark.get("role") != "right"] or marks
    stretches: list[tuple[int, int]] = []
    for mark in sorted(relevant, key=lambda mark: int(mark["start"])):
        start, end = _cut(text, max(0, mark["start"] - AROUND)), _cut(text, mark["end"] + AROUND)
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]))
        elif sum(b - a for a, b in stretches) < MOST_EXCERPT:
            stretches.append((start, end))
    pieces: list[Piece] = [Piece("… ")] if stretches[0][0] else []
    for number, (start, end) in enumerate(stretches):
        pieces += [Piece(" … ")] if number else []
        pieces += _pieces(text, marks, start, min(end, start + MOST_EXCERPT), words)
    return [*pieces, Piece(" …")] if stretches[-1][1] < len(text) else pieces


def _cut(text: str, at: int) -> int:
    """The offset of the last space shortly before `at`, or `at` itself in scripts without spaces."""
    if at >= len(text) or at == 0:
        return min(at, len(text))
    space = text.rfind(" ", max(0, at - 40), at)
    return space if space > 0 else at


def _pieces(
    text: str, marks: list[JsonObject], start: int, end: int, words: Words | None = None
) -> list[Piece]:
    """The text from `start` to `end`, split wherever a mark or a word with a weight begins or ends."""
    inside = [mark for mark in marks if mark["start"] < end and mark["end"] > start]
    shaded = {a: (b, weight) for a, b, weight in words or [] if abs(weight) >= LEAST_WEIGHT}
    limits = [*((mark["start"], mark["end"]) for mark in inside), *((a, b) for a, (b, _) in shaded.items())]
    edges = {edge for pair in limits for edge in pair if start < edge < end}
    pieces = []
    for first, last in pairwise(sorted({start, end, *edges})):
        covering = [mark for mark in inside if mark["start"] <= first and mark["end"] >= last]
        roles = " ".join(sorted({_role(mark) for mark in covering}))
        tags = tuple((_role(mark), _tag(mark)) for mark in covering if mark["end"] == last and _tag(mark))
        weight = shaded.get(first, (0, 0))[1]
        pieces.append(Piece(escaped(text[first:last]), roles, tags, weight))
    return pieces


def _tag(mark: JsonObject) -> str:
    return f"{ROLE_WORDS[_role(mark) or 'right']} {escaped(mark.get('label') or '')}".strip()
