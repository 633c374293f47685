"""Generates random data files of every format that bertune reads, with the rows they contain."""

import csv
import datetime
import importlib.util
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

_WORDS = (
    "good", "bad", "film", "宾馆", "naïve", "Ωmega", "it's", "12:30", "e.g.", "😀", "x=1", "a/b", "«oui»",
    "[1]", "{}", "null", "#tag", "-", "ﬁne", "\u200d", "e\u0301", "\\n", "\\u0041", "C:\\dir", "100%",
    "O", "B-PER",
)  # fmt: skip
_BETWEEN = (" ", " ", " ", "  ", "\u00a0", "\u3000")
Rows = list[dict[str, Any]]


@dataclass
class DataFile:
    """A file, the options for reading it, and its rows."""

    format: str
    name: str
    content: bytes
    rows: Rows
    options: dict[str, Any] = field(default_factory=dict)
    tree: Any = None  # the value of a JSON file, for changes to its structure
    is_lines: bool = False  # JSON Lines, which can also be read from standard input


def words(draw: random.Random, most: int = 12, special: str = "") -> str:
    """A random text, in which `special` characters occur occasionally."""
    parts = []
    for _ in range(draw.randint(1, most)):
        parts += [draw.choice(_WORDS), draw.choice(_BETWEEN)]
        if special and draw.random() < 0.15:
            parts.append(draw.choice(special))
    return "".join(parts).strip() or "word"


def token(draw: random.Random) -> str:
    """A random word without spaces that does not start like a comment."""
    return draw.choice([word for word in _WORDS if not word.startswith("#")])


def value(draw: random.Random, depth: int = 0) -> Any:
    """A random JSON value."""
    kind = draw.random()
    if depth < 3 and kind < 0.1:
        return [value(draw, depth + 1) for _ in range(draw.randint(0, 4))]
    if depth < 3 and kind < 0.2:
        return {f"k{i}": value(draw, depth + 1) for i in range(draw.randint(0, 3))}
    return draw.choice(
        [
            words(draw, 8, '"\\\n\t/'),
            draw.randint(-(10**12), 10**12),
            draw.uniform(-1e6, 1e6),
            True,
            None,
            0,
            "",
        ]
    )


def _dumped(draw: random.Random, tree: Any) -> str:
    indent = draw.choice([None, None, 1, 4])
    return json.dumps(tree, ensure_ascii=draw.random() < 0.5, indent=indent)


def _json_file(draw: random.Random, name: str, tree: Any, rows: Rows) -> DataFile:
    return DataFile(name, f"{name}.json", _dumped(draw, tree).encode(), rows, tree=tree)


def _delimited(draw: random.Random, count: int, name: str, delimiter: str, may_guess: bool) -> DataFile:
    columns = draw.choice([["text", "label"], ["id", "text", "label"], ["sentence1", "sentence2", "label"]])
    quoting: Literal[0, 1] = draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    inside = '"\n\t,;|' + ("\r" if quoting == csv.QUOTE_ALL else "")  # csv leaves cells with \r unquoted
    table = [[words(draw, 10, inside) for _ in columns] for _ in range(count)]
    for cells in table:
        cells[-1] = draw.choice("ab01")
    written = io.StringIO()
    writer = csv.writer(
        written, delimiter=delimiter, quoting=quoting, lineterminator=draw.choice(["\n", "\r\n"])
    )
    writer.writerows([columns, *table])
    rows = [dict(zip(columns, cells, strict=True)) for cells in table]
    given = {} if may_guess else {"delimiter": delimiter, "quoting": True, "header": True}
    return DataFile(name.split(".")[1], name, written.getvalue().encode(), rows, given)


def _csv(draw: random.Random, count: int) -> DataFile:
    file = _delimited(draw, count, "a.csv", ",", draw.random() < 0.5)
    if draw.random() < 0.1:
        file.content = file.content.decode().encode("utf-16")
        file.options = {**file.options, "encoding": "utf-16"}
    return file


def _tsv(draw: random.Random, count: int) -> DataFile:
    return _delimited(draw, count, "a.tsv", "\t", draw.random() < 0.5)


def _unquoted(draw: random.Random, count: int) -> DataFile:
    """Unquoted texts that contain quotation marks, as in GLUE."""
    texts = ["w" + words(draw, 10, '"') for _ in range(count)]
    rows = [{"text": text, "label": draw.choice("ab")} for text in texts]
    lines = ["text\tlabel", *("\t".join(row.values()) for row in rows)]
    name = draw.choice(["a.tsv", "a.txt"])
    return DataFile("unquoted", name, ("\n".join(lines) + "\n").encode(), rows)


def _semicolon(draw: random.Random, count: int) -> DataFile:
    return _delimited(draw, count, "a.csv", draw.choice(";|\t"), False)


def _objects(draw: random.Random, count: int) -> Rows:
    other = draw.sample(["label", "id", "note", "标签", "a:b", 'q"q'], 3)
    return [{"text": words(draw, 10, '"\n:{'), **{key: value(draw) for key in other}} for _ in range(count)]


def _jsonl(draw: random.Random, count: int) -> DataFile:
    rows = _objects(draw, count)
    is_ascii = draw.random() < 0.5
    end = draw.choice(["\n", "\r\n", "\n\n"])
    lines = "".join(json.dumps(row, ensure_ascii=is_ascii) + end for row in rows)
    name = draw.choice(["a.jsonl", "a.ndjson"])
    return DataFile(name[2:], name, lines.encode(), rows, tree=rows, is_lines=True)


def _json(draw: random.Random, count: int) -> DataFile:
    rows = _objects(draw, count)
    tree: Any = rows if draw.random() < 0.7 else {"version": 1, "data": rows}
    return _json_file(draw, "json", tree, rows)


def _conll(draw: random.Random, count: int) -> DataFile:
    rows: Rows = []
    blocks = ["-DOCSTART- -X- O O\n"] if draw.random() < 0.3 else []
    separator = draw.choice([" ", "\t"])
    for _ in range(count):
        length = draw.randint(2, 9)
        tokens = [token(draw) for _ in range(length)]
        tags = [draw.choice(["O", "B-PER", "I-PER", "B-LOC"]) for _ in range(length)]
        rows.append({"tokens": tokens, "tags": tags})
        pairs = zip(tokens, tags, strict=True)
        blocks.append("".join(f"{word}{separator}X{separator}{tag}\n" for word, tag in pairs))
    suffix = draw.choice(["conll", "bio", "bmes", "iob2"])
    return DataFile("conll", f"a.{suffix}", "\n".join(blocks).encode(), rows)


def _conllu(draw: random.Random, count: int) -> DataFile:
    rows: Rows = []
    blocks = []
    for number in range(count):
        tokens = [token(draw) for _ in range(draw.randint(1, 9))]
        tags = [draw.choice(["NOUN", "VERB", "ADJ"]) for _ in tokens]
        rows.append({"id": f"s{number}", "tokens": tokens, "tags": tags})
        lines = [f"# sent_id = s{number}", f"# text = {' '.join(tokens)}"]
        lines += [
            f"{at}\t{word}\t_\t{tag}\t_\t_\t0\troot\t_\t_"
            for at, (word, tag) in enumerate(zip(tokens, tags, strict=True), 1)
        ]
        blocks.append("\n".join(lines) + "\n")
    return DataFile("conllu", "a.conllu", "\n".join(blocks).encode(), rows)


def _squad(draw: random.Random, count: int) -> DataFile:
    rows: Rows = []
    articles = []
    for number in range(count):
        context = words(draw, 20, '"\n')
        start = draw.randrange(len(context))
        answers = [{"text": context[start : start + 5], "answer_start": start}]
        asked = {"question": words(draw), "id": f"q{number}", "answers": answers}
        articles.append({"paragraphs": [{"qas": [asked], "context": context}], "title": "t"})
        rows.append({**asked, "context": context, "is_impossible": None})
    return _json_file(draw, "squad", {"data": articles, "version": "1.1"}, rows)


def _span(draw: random.Random, text: str) -> tuple[int, int]:
    start = draw.randrange(len(text))
    return start, draw.randint(start + 1, len(text))


def _label_studio(draw: random.Random, count: int) -> DataFile:
    rows: Rows = []
    tasks = []
    for number in range(count):
        text = words(draw, 12)
        start, end = _span(draw, text)
        span = {"start": start, "end": end, "text": text[start:end], "labels": ["PER"]}
        result = [{"id": "r", "type": "labels", "value": span}]
        tasks.append({"id": number, "annotations": [{"result": result}], "data": {"text": text}})
        found = {"start": start, "end": end, "text": text[start:end], "label": "PER"}
        rows.append({"id": str(number), "text": text, "spans": [found]})
    return _json_file(draw, "label_studio", tasks, rows)


def _spacy_pairs(draw: random.Random, count: int) -> DataFile:
    texts = [words(draw, 12, '"') for _ in range(count)]
    rows = [{"text": text, "spans": [[*_span(draw, text), "PER"]]} for text in texts]
    return _json_file(draw, "spacy_pairs", [[r["text"], {"entities": r["spans"]}] for r in rows], rows)


def _spacy_docs(draw: random.Random, count: int) -> DataFile:
    rows: Rows = []
    for _ in range(count):
        text = words(draw, 12)
        start, end = _span(draw, text)
        rows.append({"text": text, "spans": [{"start": start, "end": end, "label": "PER"}]})
    docs = [{"text": r["text"], "ents": r["spans"], "tokens": []} for r in rows]
    if draw.random() < 0.5:
        return _json_file(draw, "spacy_docs", docs, rows)
    lines = "".join(json.dumps(doc) + "\n" for doc in docs)
    return DataFile("spacy_docs", "a.jsonl", lines.encode(), rows, tree=docs)


def _race(draw: random.Random, count: int) -> DataFile:
    rows: Rows = []
    passages = []
    for number in range(1, count + 1):
        choices = [words(draw, 4) for _ in range(4)]
        article, question, answer = words(draw, 20, "\n"), words(draw), draw.randrange(4)
        passages.append(
            {"article": article, "questions": [question], "options": [choices], "answers": ["ABCD"[answer]]}
        )
        rows.append(
            {
                "id": f"{number}-1",
                "context": article,
                "question": question,
                "choices": choices,
                "label": answer,
            }
        )
    return _json_file(draw, "race", passages, rows)


def _dream(draw: random.Random, count: int) -> DataFile:
    rows: Rows = []
    items = []
    for number in range(count):
        lines = [words(draw, 8) for _ in range(draw.randint(1, 4))]
        choices = [f"{i} {words(draw, 4)}" for i in range(3)]
        question, answer = words(draw), draw.randrange(3)
        items.append(
            [lines, [{"question": question, "choice": choices, "answer": choices[answer]}], f"d{number}"]
        )
        rows.append(
            {
                "id": f"d{number}-1", "context": "\n".join(lines), "question": question, "choices": choices,
                "label": answer,
            }
        )  # fmt: skip
    return _json_file(draw, "dream", items, rows)


def _documents(draw: random.Random, count: int) -> DataFile:
    texts = ["\n".join(words(draw, 12, '"\t') for _ in range(draw.randint(1, 4))) for _ in range(count)]
    rows = [{"text": text} for text in texts]
    return DataFile("documents", "a.txt", "\n\n".join(texts).encode(), rows, {"reader": "documents"})


def _parquet(draw: random.Random, count: int) -> DataFile:
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, list[Any]] = {
        "text": [words(draw, 10, '"\n') for _ in range(count)],
        "label": [draw.choice(["a", "b", None]) for _ in range(count)],
        "number": [draw.randint(-(10**9), 10**9) for _ in range(count)],
        "tags": [[token(draw) for _ in range(draw.randint(0, 4))] for _ in range(count)],
        "day": [datetime.date(draw.randint(1, 9999), 1, 1) for _ in range(count)],
    }
    table = pyarrow.table(columns)
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written, compression=draw.choice(["none", "snappy", "zstd"]))
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return DataFile("parquet", "a.parquet", written.getvalue(), rows)


def _docbin(draw: random.Random, count: int) -> DataFile:
    import spacy
    from spacy.tokens import Doc, DocBin, Span

    vocab = spacy.blank("xx").vocab
    store = DocBin()
    rows: Rows = []
    for _ in range(min(count, 5)):
        doc = Doc(vocab, words=[token(draw) for _ in range(6)])
        doc.ents = [Span(doc, 1, 2, label="PER")]
        store.add(doc)
        spans = [{"start": doc[1].idx, "end": doc[1].idx + len(doc[1]), "label": "PER"}]
        rows.append({"text": doc.text, "spans": spans})
    return DataFile("docbin", "a.spacy", store.to_bytes(), rows)


MAKERS: list[Callable[[random.Random, int], DataFile]] = [
    _csv, _csv, _tsv, _unquoted, _semicolon, _jsonl, _jsonl, _json, _conll, _conllu, _squad, _label_studio,
    _spacy_pairs, _spacy_docs, _race, _dream, _documents, _parquet,
]  # fmt: skip
if importlib.util.find_spec("spacy"):
    MAKERS.append(_docbin)
