"""Defaults shared by tasks over plain texts: names of text columns, and the order of labels."""

import math

# Columns recognized as the text, or the pair of texts, of a row.
TEXT_COLUMNS: tuple[tuple[str, ...], ...] = (
    ("text",), ("sentence",), ("review",), ("content",), ("comment",), ("message",), ("body",), ("news",),
    ("document",), ("tweet",), ("utterance",), ("description",), ("title",), ("question",), ("query",),
    ("sentence1", "sentence2"), ("text1", "text2"), ("text_a", "text_b"), ("premise", "hypothesis"),
    ("question", "sentence"), ("question1", "question2"), ("question", "answer"), ("query", "title"),
    ("query", "document"), ("query", "passage"), ("#1 String", "#2 String"), ("title", "content"),
    ("文本",), ("内容",), ("评论",), ("句子",),
)  # fmt: skip


def natural(label: str) -> tuple[int, float, str]:
    """A sort key: numbers in numeric order, then names in alphabetical order."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (0, number, label) if math.isfinite(number) else (1, 0.0, label)
