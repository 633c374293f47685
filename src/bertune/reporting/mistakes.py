"""Formats the recorded prediction errors for the page: sentences, excerpts of long texts, marked spans."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bertune.errors import counted
from bertune.files import JsonObject, read_object
from bertune.manifest.mistakes import MistakesRecord
from bertune.record import checked
from bertune.reporting.wording import count, decimal, escaped, percent, visible
from bertune.run import Run

FOLDED = 320  # characters: longer texts are folded
AROUND = 110  # characters of context shown on either side of a marked span
MOST_EXCERPT = 900  # characters
LONGEST = 60_000  # characters of one text included in the page, to limit its size
ROLE_WORDS = {"right": "", "wrong": "predicted", "missed": "gold"}


@dataclass(frozen=True)
class Piece:
    """A stretch of text, followed by the tags of the marks that end there."""

    text: str
    roles: str = ""  # CSS classes
    tags: tuple[tuple[str, str], ...] = ()  # role and wording of each mark


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


@dataclass(frozen=True)
class Mistake:
    """One misclassified example, formatted for the page."""

    lead: str
    facts: list[Fact]
    texts: list[Text]
    items: list[Item]
    place: str


@dataclass(frozen=True)
class Mistakes:
    """The worst errors on a split, and a sentence with their number."""

    title: str
    sentence: str
    shown: list[Mistake]


def read_mistakes(run: Run) -> Mistakes | None:
    """The recorded errors on the test split, else on validation; None if none were recorded."""
    for split in ("test", "validation"):
        file = run.path / "predictions" / f"{split}.mistakes.json"
        if file.is_file():
            recorded = read_object(file)
            checked(MistakesRecord, recorded, file)
            return worded(split, recorded)
    return None


def worded(split: str, recorded: JsonObject) -> Mistakes | None:
    """A stored `bertune.metrics.mistakes.Mistakes`, formatted for the page; None if nothing was scored."""
    if not recorded.get("num"):
        return None
    shown = [_mistake(recorded, one) for one in recorded.get("shown") or []]
    title = visible(recorded.get("title") or "Errors")
    return Mistakes(title, _sentence(split, recorded, len(shown)), shown)


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


def _mistake(recorded: JsonObject, one: JsonObject) -> Mistake:
    name = f"id {visible(one['id'])}" if one.get("id") else ""
    source = visible(one["source"]) if one.get("source") else ""
    return Mistake(
        lead=_lead(recorded, one.get("measure")),
        facts=[
            Fact(visible(f.get("name")), visible(f.get("text")), _role(f), _probability(f))
            for f in one.get("facts") or []
        ],
        texts=[_text(passage) for passage in one.get("passages") or []],
        items=[_item(item) for item in one.get("items") or []],
        place=" · ".join(part for part in (source, name) if part),
    )


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
    return Item(
        rank=f"{count(recorded['rank'])}." if recorded.get("rank") else "",
        text=_text(recorded),
        role=_role(recorded),
        note=" · ".join(note for note in notes if note),
    )


def _text(recorded: JsonObject) -> Text:
    text, marks = str(recorded.get("text") or ""), list(recorded.get("marks") or [])
    name = visible(recorded["name"]) if recorded.get("name") else ""
    if not text.strip():
        return Text(name, [Piece(visible(text))], [], "")
    if len(text) <= FOLDED:
        return Text(name, _pieces(text, marks, 0, len(text)), [], "")
    whole = _pieces(text, marks, 0, min(len(text), LONGEST))
    if len(text) > LONGEST:
        whole.append(Piece(f" … ({len(text) - LONGEST:,} more characters)"))
    opening = _excerpt(text, marks) if marks else [Piece(escaped(text[: _cut(text, FOLDED)]) + " …")]
    return Text(name, opening, whole, f"{len(text):,} characters")


def _excerpt(text: str, marks: list[JsonObject]) -> list[Piece]:
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
        pieces += _pieces(text, marks, start, min(end, start + MOST_EXCERPT))
    return [*pieces, Piece(" …")] if stretches[-1][1] < len(text) else pieces


def _cut(text: str, at: int) -> int:
    """The offset of the last space shortly before `at`, or `at` itself in scripts without spaces."""
    if at >= len(text) or at == 0:
        return min(at, len(text))
    space = text.rfind(" ", max(0, at - 40), at)
    return space if space > 0 else at


def _pieces(text: str, marks: list[JsonObject], start: int, end: int) -> list[Piece]:
    """The text from `start` to `end`, split wherever a mark begins or ends."""
    inside = [mark for mark in marks if mark["start"] < end and mark["end"] > start]
    edges = {edge for mark in inside for edge in (mark["start"], mark["end"]) if start < edge < end}
    pieces = []
    for first, last in pairwise(sorted({start, end, *edges})):
        covering = [mark for mark in inside if mark["start"] <= first and mark["end"] >= last]
        roles = " ".join(sorted({_role(mark) for mark in covering}))
        tags = tuple((_role(mark), _tag(mark)) for mark in covering if mark["end"] == last and _tag(mark))
        pieces.append(Piece(escaped(text[first:last]), roles, tags))
    return pieces


def _tag(mark: JsonObject) -> str:
    return f"{ROLE_WORDS[_role(mark) or 'right']} {escaped(mark.get('label') or '')}".strip()
