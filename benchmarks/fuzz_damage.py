"""Damages data files: their bytes, lines, or JSON structure."""

import copy
import io
import json
import random
from typing import Any

from fuzz_files import DataFile

_ODD_BYTES = [
    b"\0", b"\0" * 20, b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n", b"\n\n", b"\x85",
    b"\x1a", b"\xed\xa0\x80", b"\xc3", b"\xf0\x9f", b"\x1f\x8b", b"PAR1", b"\t", b'"', b'""', b"'", b",",
    b";", b":", b"\\", b'"\t"', b"{", b"}", b"[", b"]", b"[]", b"null", b"NaN", b"-Infinity", b"1e999",
    b"\\ud800", b"\\u0000",
    b"9" * 4301, b"-" + b"8" * 6000, b"[" * 150, b"[" * 990, b"[" * 20_000, b'{"a":' * 300, b'{"a":1,"a":2}',
    b"\xe2\x80\xa8", b"\x0b", b"\x0c", b"\x1c", b"#", b"-DOCSTART-", b"\xd9\xa3\xd9\xa4", b"\xc2\xb2",
    b"1_000", b"=1+1",
]  # fmt: skip
_ODD_VALUES: list[Any] = [
    5, -1, 0, 2**63, 10**400, 1.5, 1e308, True, False, None, "", "x", " ", "0", "A", "\ud800",
    "\0", "9" * 5000, "[" * 300, "['a', 'b'", "['a', 'b']", '["a", "a"]', "[-" + "-" * 3000 + "1]",
    "[{[]: 1}]",
    "['\\d']", '{"a":1,"a":2}',
    "[" + "9" * 5000 + "]", "[\ud800]", [], {}, [[]], [None], [5], ["x", 5], [{}], [{"text": 5}], {"text": 5},
    {"text": ["a"], "label": 5}, {"entities": 5}, {"text": ["a"], "answer_start": [0]}, [[0, 1]],
    [[0, 10**30, "X"]],
    [{"start": 0, "end": 1, "label": "\ud800"}], [{"start": True, "end": "1", "label": []}],
    float("inf"), float("nan"),
]  # fmt: skip


def damaged(file: DataFile, draw: random.Random) -> bytes:
    """The content of a file after one to three changes."""
    content = file.content
    if file.tree is not None and draw.random() < 0.5:
        content = _restructured(file, draw)
    elif file.format == "parquet" and draw.random() < 0.5:
        return _odd_parquet(draw)
    for _ in range(draw.randint(0 if content is not file.content else 1, 2)):
        content = draw.choice(_CHANGES)(content, draw)
    return content


def _flip(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return content
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randint(0, len(content))]


def _remove(content: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(content))
    return content[:start] + content[start + draw.randint(1, 40) :]


def _repeat(content: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(content))
    end = start + draw.randint(1, 400)
    return content[:end] + content[start:]


def _insert(content: bytes, draw: random.Random) -> bytes:
    at = draw.randint(0, len(content))
    return content[:at] + draw.choice(_ODD_BYTES) + content[at:]


def _insert_often(content: bytes, draw: random.Random) -> bytes:
    odd = draw.choice(_ODD_BYTES)[:20]
    for _ in range(draw.randint(2, 20)):
        at = draw.randint(0, len(content))
        content = content[:at] + odd + content[at:]
    return content


def _swap_ends(content: bytes, draw: random.Random) -> bytes:
    return content.replace(b"\n", draw.choice([b"\r", b"\r\n", b"\n\r", b"\x0b", b"", b"\n\n", b"\0\n"]))


def _shuffle_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


def _replace_cell(content: bytes, draw: random.Random) -> bytes:
    """Replaces a piece between separators by an unusual value."""
    separator = draw.choice([b"\t", b",", b" ", b"\n"])
    parts = content.split(separator)
    odd = draw.choice(_ODD_VALUES)
    written = odd if isinstance(odd, str) else json.dumps(odd)
    parts[draw.randrange(len(parts))] = written.encode("utf-8", "surrogatepass")
    return separator.join(parts)


def _reencode(content: bytes, draw: random.Random) -> bytes:
    encoding = draw.choice(["utf-16", "utf-16-le", "utf-32", "gb18030", "cp1252", "shift_jis", "utf-8-sig"])
    return content.decode("utf-8", "replace").encode(encoding, "replace")


_CHANGES = [
    _flip, _flip, _cut, _remove, _repeat, _insert, _insert, _insert, _insert_often, _swap_ends,
    _shuffle_lines, _replace_cell, _replace_cell, _reencode,
]  # fmt: skip


def _restructured(file: DataFile, draw: random.Random) -> bytes:
    """The JSON of a file with an unusual value, or a missing or renamed key."""
    tree = copy.deepcopy(file.tree)
    holder, inner = None, tree
    for _ in range(draw.randint(1, 8)):
        if not isinstance(inner, dict | list) or not inner:
            break
        holder = inner
        key: Any = draw.choice(list(inner)) if isinstance(inner, dict) else draw.randrange(len(inner))
        inner = inner[key]
    if holder is not None:
        _change(holder, key, draw)
    is_lines = file.name.endswith((".jsonl", ".ndjson"))
    text = "\n".join(json.dumps(item) for item in tree) if is_lines else json.dumps(tree)
    if draw.random() < 0.05:
        text = text.replace("null", "9" * 5000)
    return text.encode()


def _change(holder: Any, key: Any, draw: random.Random) -> None:
    how = draw.random()
    if how < 0.2:
        del holder[key]
    elif how < 0.3 and isinstance(holder, dict):
        holder[draw.choice(["x", "", "text", "label", "\ud800", "data"])] = holder.pop(key)
    elif how < 0.35:
        nested: Any = 1
        for _ in range(draw.choice([90, 101, 400, 900])):
            nested = draw.choice([[nested], {"a": nested}])
        holder[key] = nested
    else:
        holder[key] = copy.deepcopy(draw.choice(_ODD_VALUES))


def _odd_parquet(draw: random.Random) -> bytes:
    """Valid Parquet with columns whose values Python cannot represent, or barely can."""
    import pyarrow as pa
    import pyarrow.parquet

    big = pa.array([1, draw.choice([10**9, 2**62, -(2**62), 3 * 10**6])], pa.int64())
    not_text = pa.py_buffer(b"a\xff")
    bad = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), not_text])
    columns = [
        lambda: pa.array([1, 10**9], pa.int32()).cast(pa.date32()),
        lambda: big.cast(pa.timestamp(draw.choice(["ms", "us", "ns"]))),
        lambda: big.cast(
            pa.timestamp("us", tz=draw.choice(["Mars/Olympus", "+99:99", "UTC", "Europe/Paris"]))
        ),
        lambda: big.cast(pa.duration(draw.choice(["s", "ms", "us", "ns"]))),
        lambda: bad,
        lambda: pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), bad),
        lambda: pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["a", "a"]),
        lambda: pa.array([[("a", 1)], [("a", 2), ("a", 3)]], pa.map_(pa.string(), pa.int32())),
        lambda: pa.array([b"a", b"\xff"]),
        lambda: pa.array([float("nan"), float("inf")]),
        lambda: pa.array([1, 2], pa.decimal256(70, draw.choice([3, 60]))),
        lambda: pa.nulls(2),
        lambda: pa.array(["a", None]).dictionary_encode(),
        lambda: pa.array([[[["a"]]], None]),
        lambda: pa.array([5, 6], pa.time64("ns")),
        lambda: pa.array([1.5, 2.5], pa.float16()),
    ]
    names = draw.sample(["text", "label", "id", "tokens", "answers", "choices", "context"], 3)
    table = pa.table({name: draw.choice(columns)() for name in names})
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written)
    return written.getvalue()
