"""Words, tagging schemes and spans: conversions in both directions, and invalid tags."""

import itertools
import random

import numpy as np
import pytest

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.tasks import make_task
from bertune.tasks.token_classification.detection import detect
from bertune.tasks.token_classification.schemes import (
    Scheme,
    Span,
    best_path,
    deciding_tokens,
    joined,
    read_tags,
    to_words,
    words_of,
    write_tags,
)
from bertune.text.sequences import Sequence

SCHEMES = ("bio", "iob1", "bioes", "bmes", "bilou")


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in words_of(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada's  COVID-19 test.", ["Ada", "'", "s", "COVID", "-", "19", "test", "."]),
        ("在Oslo住了3年。", ["在", "Oslo", "住", "了", "3", "年", "。"]),
        ("トヨタは", ["ト", "ヨ", "タ", "は"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 a_b", ["cafe\u0301", "a", "_", "b"]),
        ("❤\ufe0f ok", ["❤\ufe0f", "ok"]),
        ("\u200b a\tb\n", ["a", "b"]),
        (" \u3000", []),
    ],
)
def test_words_are_runs_of_letters_and_single_punctuation_marks(text: str, words: list[str]) -> None:
    assert cut(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "The U.S. and Jean-Pierre paid 1,000.5.",
            ["The", "U.S.", "and", "Jean-Pierre", "paid", "1,000.5", "."],
        ),
        (
            "O'Brien's J. Smith at 12:30, plan x.",
            ["O'Brien", "'", "s", "J.", "Smith", "at", "12:30", ",", "plan", "x", "."],
        ),
        ("AT&T -- a,b 在U.S.住-3", ["AT&T", "-", "-", "a", ",", "b", "在", "U.S.", "住", "-", "3"]),
    ],
)
def test_punctuation_inside_a_word_can_belong_to_it(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in words_of(text, "whole")] == words


def test_characters_can_be_words() -> None:
    assert words_of("1 年ab", "characters") == ((0, 1), (2, 3), (3, 4), (4, 5))


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["EU", "rejects", "U.S.", "call"], "EU rejects U.S. call"),
        (["我", "在", "Oslo", "，", "很", "好"], "我在Oslo，很好"),
        (["1", "9", "年", "P", "M"], "19年PM"),
        (["안녕", "하세요"], "안녕 하세요"),
        (["a", "b"], "a b"),
    ],
)
def test_tokens_are_joined_with_or_without_spaces_depending_on_the_script(
    tokens: list[str], text: str
) -> None:
    found, offsets = joined(tokens)
    assert found == text
    assert [found[start:end] for start, end in offsets] == tokens


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("typed", [True, False])
def test_spans_round_trip_through_every_scheme(name: str, typed: bool) -> None:
    draw, scheme = random.Random(7), Scheme(name, typed)
    for _ in range(200):
        offsets = sorted(draw.sample(range(12), 6))
        labels = ["PER", "X-Y"] if typed else ["entity"]
        spans = [
            Span(a, b, draw.choice(labels)) for a, b in itertools.pairwise(offsets) if draw.random() < 0.7
        ]
        tags = write_tags(spans, 12, scheme)
        assert read_tags(tags, scheme) == read_tags(tags, scheme).__class__(tuple(spans), ())


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ("B-X I-X O B-Y", "bio"),
        ("I-X I-X O I-Y B-Y", "iob1"),
        ("I-X O I-Y", "iob1"),
        ("B-X I-X E-X O S-Y", "bioes"),
        ("B-X M-X E-X O S-Y", "bmes"),
        ("B-X I-X L-X O U-Y", "bilou"),
        ("B-X E-X S-Y", "bioes"),
        ("DT NN VB", "plain"),
        ("O PER O", "io"),
    ],
)
def test_the_scheme_is_detected(tags: str, name: str) -> None:
    assert detect([tags.split()]) == Scheme(name)


def test_bare_tags_are_supported() -> None:
    assert detect([["B", "I", "O"]]) == Scheme("bio", typed=False)
    assert read_tags(["B", "I", "O", "B"], Scheme("bio", False)).spans == ((0, 2, "entity"), (3, 4, "entity"))


def test_bio_with_an_invalid_tag_is_not_detected_as_iob1() -> None:
    assert detect([["B-X", "I-X", "O", "I-X"]]).name == "bio"


@pytest.mark.parametrize("tags", ["B-X M-X I-X E-X", "B-X I O", "B-X O PER"])
def test_mixed_schemes_are_an_error(tags: str) -> None:
    with pytest.raises(DataError, match=r"mix several schemes: .*task\.scheme=plain"):
        detect([tags.split()])


@pytest.mark.parametrize(
    ("tags", "name", "spans", "broken"),
    [
        ("O I-X I-X", "bio", [(1, 3, "X")], [1]),
        ("B-X I-Y", "bio", [(0, 1, "X"), (1, 2, "Y")], [1]),
        ("B-X O", "bmes", [(0, 1, "X")], [0]),
        ("O M-X E-X", "bmes", [(1, 3, "X")], [1]),
        ("O E-X", "bioes", [(1, 2, "X")], [1]),
        ("B-X B-X E-X", "bioes", [(0, 1, "X"), (1, 3, "X")], [0]),
        ("B-X M-Y", "bmes", [(0, 1, "X"), (1, 2, "Y")], [0, 1]),
        ("B-X I-X", "bilou", [(0, 2, "X")], [1]),
    ],
)
def test_invalid_tags_are_reported_and_read_like_in_conlleval(
    tags: str, name: str, spans: list[tuple[int, int, str]], broken: list[int]
) -> None:
    found = read_tags(tags.split(), Scheme(name))
    assert (list(found.spans), list(found.broken)) == (spans, broken)


def test_positions_of_tags_of_another_scheme_are_reported() -> None:
    assert read_tags(["B-X", "S-X", "X"], Scheme("bio")).unknown == (1, 2)


def test_spans_are_extended_to_words_and_the_longest_overlapping_span_is_kept() -> None:
    words = words_of("Anna lives in New York City")
    spans = [Span(0, 4, "PER"), Span(14, 22, "LOC"), Span(14, 27, "LOC"), Span(6, 8, "V"), Span(11, 17, "IN")]
    found = to_words(spans, words)
    assert found.spans == ((0, 1, "PER"), (1, 2, "V"), (3, 6, "LOC"))
    assert (found.num_inside, found.num_nested, found.num_overlapping) == (1, 1, 1)


def test_a_word_is_decided_in_the_window_with_the_most_context() -> None:
    words = [(i, i + 1) for i in range(8)]

    def window(start: int, end: int) -> Sequence:
        offsets = np.array([[-1, -1], *([i, i + 1] for i in range(start, end)), [-1, -1]], np.int32)
        return Sequence(
            np.zeros(len(offsets), np.int32), np.zeros(len(offsets), np.uint8), 0, offsets=offsets
        )

    found = deciding_tokens([window(0, 5), window(3, 8)], words)
    assert found[:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found[3].tolist() == [0, 4]
    assert found[4].tolist() == [1, 2]
    assert deciding_tokens([window(0, 3)], words)[3:].tolist() == [[-1, -1]] * 5


def test_the_best_path_equals_an_exhaustive_search() -> None:
    labels = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    begins = np.array([-1, -1, 1, -1, 3])
    scheme, draw = Scheme("bio"), np.random.default_rng(3)
    for _ in range(30):
        scores = draw.normal(size=(4, 5))
        valid = [
            path
            for path in itertools.product(range(5), repeat=4)
            if not read_tags([labels[i] for i in path], scheme).broken
        ]
        best = max(valid, key=lambda path: sum(scores[at, label] for at, label in enumerate(path)))
        assert best_path(scores, begins).tolist() == list(best)


@pytest.mark.parametrize("outside", ["OUT", "0", "_", "-", "N", "pad"])
def test_another_tag_for_words_outside_of_entities_is_read_as_o(outside: str) -> None:
    rows = [
        ("Ann", "PER"),
        ("is", outside),
        ("in", outside),
        ("Rome", "LOC"),
        ("now", outside),
        (".", outside),
    ]
    row = Row({"tokens": [w for w, _ in rows], "tags": [t for _, t in rows]}, Origin("a.jsonl", 1))
    columns = Columns(("tokens",), "tags", None)
    plain = make_task(TaskConfig(name="ner"))
    (note,) = plain.fit([plain.parse(row, columns)]).notes
    hint = f'If "{outside}" (67% of the words) is outside of entities, set task.outside={outside}'
    usual = f'tags: IO, with "{outside}" outside of entities'
    assert note.endswith(hint) if outside in ("N", "pad") else note == usual
    task = make_task(TaskConfig(name="ner", outside=outside))
    fitted = task.fit([task.parse(row, columns)])
    assert fitted.notes == ("tags: IO",)
    assert fitted.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
