"""Writes parts of published data files in their original formats, so that all sides read the same data.

The size of a part is counted in units of the file: rows, sentences, questions or dialogues.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

Form = Literal["lines", "headed", "csv", "documents", "conll", "squad", "dream"]


@dataclass(frozen=True)
class Part:
    """Every `step`-th unit of a file from `start` to `stop`, after filtering by `most_characters`.

    The form `documents` writes the column `text` of a CSV file as plain text, separated by blank lines.
    """

    path: str  # below BERTUNE_DATA
    form: Form
    start: int = 0
    stop: int | None = None
    step: int = 1
    most_characters: int | None = None  # of a passage or dialogue
    full_stop: int | None = None  # the value of `stop` for a full run

    @property
    def is_whole(self) -> bool:
        """Whether the part is the unchanged file."""
        thinned = (self.start, self.stop, self.step, self.most_characters) != (0, None, 1, None)
        return not thinned and self.form != "documents"

    def in_full(self) -> Part:
        """The part for a full run, without the limits that save time."""
        return replace(self, stop=self.full_stop, step=1, most_characters=None)


def place(part: Part, data: Path, folder: Path, name: str) -> Path:
    """The path of the original file if the part is whole, else that of a new file in `folder`.

    Raises ValueError for an empty part.
    """
    source = data / part.path
    if part.is_whole:
        return source
    head, units = _READERS[part.form](source)
    if part.most_characters is not None:
        units = [unit for unit in units if len(_passage(part.form, unit)) <= part.most_characters]
    units = units[part.start : part.stop : part.step]
    if not units:
        raise ValueError(f"{source}: {part} selects no units")
    suffix = ".txt" if part.form == "documents" else Path(part.path.removesuffix(".gz")).suffix
    target = folder / (name + suffix)
    with target.open("w", encoding="utf-8", newline="") as file:
        _WRITERS[part.form](file, head, units)
    return target


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as packed:
            yield packed
    else:
        with path.open(encoding="utf-8", newline="") as plain:
            yield plain


def _lines(path: Path) -> tuple[Any, list[Any]]:
    with _opened(path) as file:
        # The last line may have no line break.
        return None, [line.rstrip("\r\n") + "\n" for line in file]


def _headed(path: Path) -> tuple[Any, list[Any]]:
    _, lines = _lines(path)
    return lines[0], lines[1:]


def _records(path: Path) -> tuple[Any, list[Any]]:
    with _opened(path) as file:
        header, *records = csv.reader(file)
    return header, records


def _sentences(path: Path) -> tuple[Any, list[Any]]:
    _, lines = _lines(path)
    blocks = "".join(lines).split("\n\n")
    found = [block.strip("\n") for block in blocks]
    return None, [block for block in found if block and not block.startswith("-DOCSTART-")]


def _questions(path: Path) -> tuple[Any, list[Any]]:
    with _opened(path) as file:
        content = json.load(file)
    units = [
        ((number, at), article.get("title"), paragraph["context"], question)
        for number, article in enumerate(content["data"])
        for at, paragraph in enumerate(article["paragraphs"])
        for question in paragraph["qas"]
    ]
    return {"version": content.get("version", "1.1")}, units


def _dialogues(path: Path) -> tuple[Any, list[Any]]:
    with _opened(path) as file:
        return None, json.load(file)


def _passage(form: Form, unit: Any) -> str:
    if form == "squad":
        return str(unit[2])
    if form == "dream":
        return "\n".join(unit[0])
    raise ValueError(f"most_characters is not supported for the form {form!r}; use squad or dream")


def _write_lines(file: IO[str], head: Any, units: list[Any]) -> None:
    file.writelines([head] * (head is not None) + units)


def _write_records(file: IO[str], head: Any, units: list[Any]) -> None:
    csv.writer(file, lineterminator="\n").writerows([head, *units])


def _write_documents(file: IO[str], head: Any, units: list[Any]) -> None:
    column = head.index("text")
    file.write("\n\n".join(" ".join(unit[column].split()) for unit in units) + "\n")


def _write_sentences(file: IO[str], head: Any, units: list[Any]) -> None:
    file.write("\n\n".join(units) + "\n")


def _write_questions(file: IO[str], head: Any, units: list[Any]) -> None:
    articles: dict[int, dict[str, Any]] = {}
    paragraphs: dict[tuple[int, int], list[Any]] = {}
    for place_of, title, context, question in units:
        if place_of not in paragraphs:
            article = articles.setdefault(place_of[0], {"title": title, "paragraphs": []})
            article["paragraphs"].append({"context": context, "qas": paragraphs.setdefault(place_of, [])})
        paragraphs[place_of].append(question)
    json.dump({**head, "data": list(articles.values())}, file, ensure_ascii=False)


def _write_dialogues(file: IO[str], head: Any, units: list[Any]) -> None:
    json.dump(units, file, ensure_ascii=False, indent=1)


_READERS: dict[Form, Callable[[Path], tuple[Any, list[Any]]]] = {
    "lines": _lines,
    "headed": _headed,
    "csv": _records,
    "documents": _records,
    "conll": _sentences,
    "squad": _questions,
    "dream": _dialogues,
}
_WRITERS: dict[Form, Callable[[IO[str], Any, list[Any]], None]] = {
    "lines": _write_lines,
    "headed": _write_lines,
    "csv": _write_records,
    "documents": _write_documents,
    "conll": _write_sentences,
    "squad": _write_questions,
    "dream": _write_dialogues,
}
