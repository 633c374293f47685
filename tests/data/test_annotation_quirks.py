"""Real-world exports of annotation tools: span offsets, several annotators, and what is ignored."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import choose_columns
from bertune.data.tables import open_table
from bertune.errors import DataError
from bertune.tasks import make_task

RELATION = {"from_id": "a", "to_id": "b", "type": "relation", "direction": "right"}


def read(path: Path, content: Any) -> list[Any]:
    """The parsed examples of a file."""
    raw = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(raw, encoding="utf-8", newline="")
    task = make_task(TaskConfig(name="token_classification"))
    table = open_table(path, DataConfig(), ("text", "label"))
    columns, _ = choose_columns(table, DataConfig(), task.columns, True)
    return [task.parse(row, columns) for row in table.rows()]


def spans_of(path: Path, content: Any) -> list[tuple[str, str]]:
    """The texts and labels of the spans of the first example."""
    example = read(path, content)[0]
    return [(example.texts[0][s["start"] : s["end"]], s["label"]) for s in example.gold]


def browser(text: str, word: str, lines_once: bool = False) -> dict[str, Any]:
    """A span with a browser's offsets: in UTF-16 code units, and `\\r\\n` optionally counted once."""
    before = text[: text.index(word)]
    before = before.replace("\r\n", "\n") if lines_once else before
    start = len(before.encode("utf-16-le")) // 2
    end = start + len(word.encode("utf-16-le")) // 2
    return {"start": start, "end": end, "text": word, "labels": ["PER"]}


def task(text: str, *values: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Label Studio task with one annotation."""
    return {"id": 1, "data": {"text": text}, "annotations": [annotation(*values)], **more}


def annotation(*values: dict[str, Any], **more: Any) -> dict[str, Any]:
    result = [
        {"id": "a", "type": "labels", "from_name": "label", "to_name": "text", "value": v} for v in values
    ]
    return {"id": 7, "completed_by": 1, "was_cancelled": False, "result": [*result, RELATION], **more}


@pytest.mark.parametrize("lines_once", [False, True])
@pytest.mark.parametrize(
    "text", ["Ada sings", "👩‍🚀 says\r\nAda sings", "a\r\nb\r\n\r\nAda", "no\nAda", "𝔘𝔫 Ada", "é Ada 😀"]
)
def test_span_offsets_in_utf_16_units_are_corrected(tmp_path: Path, text: str, lines_once: bool) -> None:
    assert spans_of(tmp_path / "a.json", [task(text, browser(text, "Ada", lines_once))]) == [("Ada", "PER")]


def test_the_line_break_in_a_span_can_be_written_differently(tmp_path: Path) -> None:
    for text, stated in (("Ada\r\nKing", "Ada\nKing"), ("Ada\nKing", "Ada\\nKing")):
        value = {"start": 0, "end": len(text), "text": stated, "labels": ["PER"]}
        assert spans_of(tmp_path / "a.json", [task(text, value)]) == [(text, "PER")]


def test_a_span_that_does_not_match_is_refused_with_the_text_at_its_offsets(tmp_path: Path) -> None:
    value = {"start": 0, "end": 3, "text": "Bob", "labels": ["PER"]}
    with pytest.raises(DataError, match=r'a\.json, task 1: .* should be "Bob", but the text there is "Ada"'):
        read(tmp_path / "a.json", [task("Ada sings", value)])


def test_overlapping_spans_are_all_kept_as_gold(tmp_path: Path) -> None:
    text = "University of Oslo"
    values = [browser(text, text), {**browser(text, "Oslo"), "labels": ["LOC"]}]
    assert spans_of(tmp_path / "a.json", [task(text, *values)]) == [(text, "PER"), ("Oslo", "LOC")]


def test_predictions_and_skipped_annotations_are_ignored(tmp_path: Path) -> None:
    text = "Ada met Bob"
    found = task(text, browser(text, "Ada"), predictions=[{"result": [{"value": browser(text, "Bob")}]}])
    found["annotations"].append(annotation(browser(text, "Bob"), was_cancelled=True))
    assert spans_of(tmp_path / "a.json", [found]) == [("Ada", "PER")]


def test_identical_annotations_are_merged_and_different_ones_refused(tmp_path: Path) -> None:
    text = "Ada met Bob"
    both = [browser(text, "Ada"), browser(text, "Bob")]
    agreed = task(text, *both)
    agreed["annotations"].append(annotation(*both[::-1], completed_by=2))
    assert spans_of(tmp_path / "a.json", [agreed]) == [("Ada", "PER"), ("Bob", "PER")]
    agreed["annotations"].append(annotation(both[0], completed_by=3))
    with pytest.raises(
        DataError, match=r"a\.json, task 1: 3 annotations differ.*Mark one as the ground truth"
    ):
        read(tmp_path / "a.json", [agreed])


def test_a_task_without_annotation_is_refused_in_training(tmp_path: Path) -> None:
    done, skipped = task("Ada", browser("Ada", "Ada")), task("Bob")
    skipped["annotations"] = []
    with pytest.raises(DataError, match=r'a\.json, task 2: the label in column "spans" is missing'):
        read(tmp_path / "a.json", [done, skipped])


def minimal(number: int, text: str, *values: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A row of JSON-MIN, which has no key for a task without marked spans."""
    marked = {"label": list(values)} if values else {}
    tool = {"annotator": 1, "annotation_id": 10 + number, "created_at": "2024-01-01", "lead_time": 3.2}
    return {"text": text, "id": number, **marked, **tool, **more}


def test_the_minimal_export_is_read(tmp_path: Path) -> None:
    text = "😀 Ada met Bob"
    rows = [minimal(1, text, browser(text, "Ada"), browser(text, "Bob")), minimal(2, "nobody")]
    found = read(tmp_path / "a.json", rows)
    assert [(e.texts[0], len(e.gold)) for e in found] == [(text, 2), ("nobody", 0)]
    assert spans_of(tmp_path / "a.json", rows) == [("Ada", "PER"), ("Bob", "PER")]


def test_annotators_of_the_minimal_export_must_agree(tmp_path: Path) -> None:
    text = "Ada met Bob"
    same = [minimal(1, text, browser(text, "Ada")), minimal(1, text, browser(text, "Ada"), annotator=2)]
    assert len(read(tmp_path / "a.json", same)) == 1
    with pytest.raises(
        DataError, match=r"a\.json, task 3: task 1 has different spans in the same text \(id 1\)"
    ):
        read(tmp_path / "a.json", [*same, minimal(1, text, browser(text, "Bob"), annotator=3)])


@pytest.mark.parametrize(
    "shape",
    [
        {"label": [[3, 6, "PER"]]},
        {"labels": [[3, 6, "PER"]], "Comments": []},
        {
            "entities": [{"id": 1, "label": "PER", "start_offset": 3, "end_offset": 6}],
            "relations": [{"id": 1, "from_id": 1, "to_id": 1, "type": "is"}],
            "Comments": [],
        },
    ],
)
def test_doccano_lines_are_read_in_each_of_its_shapes(tmp_path: Path, shape: dict[str, Any]) -> None:
    lines = [json.dumps({"id": 4, "text": "a\r\nAda\r\nb", **shape}) for _ in range(2)]
    for end in ("\n", "\r\n"):
        assert spans_of(tmp_path / "a.jsonl", end.join(lines) + end) == [("Ada", "PER")]


def test_doccano_offsets_count_characters_beyond_16_bits_once(tmp_path: Path) -> None:
    line = json.dumps({"id": 4, "text": "😀 Ada", "label": [[2, 5, "PER"]]}, ensure_ascii=False)
    assert spans_of(tmp_path / "a.jsonl", line) == [("Ada", "PER")]
    beyond = json.dumps({"id": 4, "text": "😀 Ada", "label": [[3, 6, "PER"]]})
    with pytest.raises(DataError, match=r'line 1: the span "PER" from character 3 to 6 is outside the text'):
        read(tmp_path / "a.jsonl", beyond)


def test_spacy_pairs_with_emoji_and_windows_line_breaks(tmp_path: Path) -> None:
    pairs = [["👍\r\nAda met Bob", {"entities": [[3, 6, "PER"], [11, 14, "PER"], [3, 14, "EVENT"]]}]]
    assert spans_of(tmp_path / "a.json", pairs) == [
        ("Ada", "PER"),
        ("Bob", "PER"),
        ("Ada met Bob", "EVENT"),
    ]
