"""Parts of published files in their original format, with and without gold labels."""

import gzip
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Cut = Callable[[Path, Path], Path]  # writes a part of a file to a folder under the same name


def lines(rows: slice, header: bool = False) -> Cut:
    """Some lines of a file, byte for byte; header lines are not counted."""

    def cut(source: Path, folder: Path) -> Path:
        whole = _bytes(source).splitlines(keepends=True)
        head = 1 if header else 0
        return _written(folder / source.name, b"".join([*whole[:head], *whole[head:][rows]]))

    return cut


def sentences(count: int) -> Cut:
    """The first sentences of a CoNLL file, with the blank lines after them."""

    def cut(source: Path, folder: Path) -> Path:
        found = re.split(rb"(?<=\n)(?=\r?\n)", _bytes(source))[:count]
        return _written(folder / source.name, b"".join(found) + b"\n")

    return cut


def articles(rows: slice, questions: int) -> Cut:
    """The first paragraphs of some articles of a SQuAD file, with their first questions."""

    def cut(source: Path, folder: Path) -> Path:
        content = json.loads(_bytes(source))
        content["data"] = [_shorter(article, questions) for article in content["data"][rows]]
        return _written(folder / source.name, _json(content))

    return cut


def items(rows: slice) -> Cut:
    """Some items of a JSON list."""

    def cut(source: Path, folder: Path) -> Path:
        return _written(folder / source.name, _json(json.loads(_bytes(source))[rows]))

    return cut


def whole(source: Path, folder: Path) -> Path:
    """The complete published file."""
    return source


def without_column(number: int, separator: str = "\t") -> Cut:
    """Every line of a file of unquoted cells, without one column."""

    def cut(source: Path, folder: Path) -> Path:
        kept = []
        for line in _bytes(source).splitlines():
            cells = line.split(separator.encode())
            del cells[number]
            kept.append(separator.encode().join(cells) + b"\n")
        return _written(folder / source.name, b"".join(kept))

    return cut


def words_of_lines(source: Path, folder: Path) -> Path:
    """The text before the tab of each line, as plain text."""
    kept = [line.partition(b"\t")[0] + b"\n" for line in _bytes(source).splitlines()]
    return _written(folder / "words.txt", b"".join(kept))


def first_column(source: Path, folder: Path) -> Path:
    """The words of a CoNLL file."""
    kept = [re.split(rb"[ \t]", line, maxsplit=1)[0] + b"\n" for line in _bytes(source).splitlines()]
    return _written(folder / source.name, b"".join(kept))


def without_keys(*names: str) -> Cut:
    """JSON or JSON Lines without keys of these names at any depth."""

    def cut(source: Path, folder: Path) -> Path:
        text = _bytes(source)
        is_lines = ".jsonl" in source.suffixes
        values = [json.loads(line) for line in (text.splitlines() if is_lines else [text])]
        return _written(folder / source.name, b"\n".join(_json(_without(v, names)) for v in values))

    return cut


def documents(count: int) -> Cut:
    """The sentences of a WikiQA file as plain text, one block per question."""

    def cut(source: Path, folder: Path) -> Path:
        blocks: dict[str, list[str]] = {}
        for line in source.read_text(encoding="utf-8").rstrip("\n").split("\n"):
            question, sentence, _ = line.split("\t")
            if question not in blocks and len(blocks) == count:
                break
            blocks.setdefault(question, []).append(sentence)
        text = "\n\n".join("\n".join(found) for found in blocks.values())
        return _written(folder / "articles.txt", f"{text}\n".encode())

    return cut


def relevant(rows: slice) -> Cut:
    """Some lines of a WikiQA file whose sentence answers the question."""

    def cut(source: Path, folder: Path) -> Path:
        found = [line for line in _bytes(source).splitlines(keepends=True) if line.endswith(b"\t1\n")]
        return _written(folder / source.name, b"".join(found[rows]))

    return cut


def _shorter(article: dict[str, Any], questions: int) -> dict[str, Any]:
    first = article["paragraphs"][0]
    return article | {"paragraphs": [first | {"qas": first["qas"][:questions]}]}


def _bytes(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def _without(value: Any, names: tuple[str, ...]) -> Any:
    inner = partial(_without, names=names)
    if isinstance(value, dict):
        return {key: inner(item) for key, item in value.items() if key not in names}
    return [inner(item) for item in value] if isinstance(value, list) else value


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
