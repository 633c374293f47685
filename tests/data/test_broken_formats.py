"""Invalid files in every published format: `bertune train` says where the error is and writes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from tiny import bertune, contents

CONTEXT = "Ada sings in Oslo."
ANSWERS = [{"text": "Oslo", "answer_start": 13}]
LINES = ["W: Tea?", "M: Milk."]
ASKED = {"question": "What is asked for?", "choice": ["Tea.", "Milk."], "answer": "Milk."}
RACE = {
    "id": "high1.txt",
    "article": "Two.",
    "questions": ["?"],
    "options": [["one", "two"]],
    "answers": ["B"],
}


def squad(*answers: Any, **changes: Any) -> str:
    """A valid question, and one with these answers or changes."""
    good = {"id": "q1", "question": "where?", "answers": ANSWERS}
    bad = {"id": "q2", "question": "where?", "answers": list(answers) or ANSWERS} | changes
    paragraphs = [
        {"context": CONTEXT, "qas": [{k: v for k, v in q.items() if v is not ...}]} for q in (good, bad)
    ]
    return json.dumps({"version": "1.1", "data": [{"title": "Ada", "paragraphs": paragraphs}]})


def dream(**changes: Any) -> str:
    """A valid dialogue, and one with these changes."""
    bad = {key: value for key, value in (ASKED | changes).items() if value is not ...}
    return json.dumps([[LINES, [ASKED], "1-1"], [LINES, [bad], "1-2"]])


def race(**changes: Any) -> str:
    """A valid passage, and one with these changes."""
    bad = {key: value for key, value in (RACE | changes).items() if value is not ...}
    return json.dumps([RACE, bad])


def jsonl(*rows: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def label_studio(*spans: dict[str, Any]) -> str:
    results = [{"value": span, "type": "labels"} for span in spans]
    done = {"id": 8, "data": {"text": CONTEXT}, "annotations": [{"result": [_value("Ada", 0, 3)]}]}
    return json.dumps([done, {"id": 9, "data": {"text": CONTEXT}, "annotations": [{"result": results}]}])


def _value(text: str, start: int, end: int) -> dict[str, Any]:
    return {"value": {"start": start, "end": end, "text": text, "labels": ["PER"]}, "type": "labels"}


CUT_SQUAD = squad()[:-40]
CUT_DREAM = dream()[:-20]

BROKEN = {
    # SQuAD 1.1 and 2.0, CMRC 2018, TyDi QA
    "squad: no answers": ("a.json", squad(answers=...), "question_answering",
    ['question 2 (id "q2")', '"answers"', "Write"]),
    "squad: no question": ("a.json", squad(question=...), "question_answering",
    ['question 2 (id "q2")', '"question"']),
    "squad: no id": ("a.json", squad(id=...), "question_answering", ["question 2", '"id"']),
    "squad: answer elsewhere": (
        "a.json", squad({"text": "Bergen", "answer_start": 13}), "question_answering",
        ['question 2 (id "q2")', '"Bergen"', "does not occur in the context", "Correct"],
    ),
    "squad: beyond the context": (
        "a.json", squad({"text": "Oslo", "answer_start": 99}), "question_answering",
        ['question 2 (id "q2")', '"Oslo" at 99', "ends after the context"],
    ),
    "squad: neither answer nor impossible": (
        "a.json", squad(answers=[]), "question_answering", ['question 2 (id "q2")', '"is_impossible": true'],
    ),
    "squad: no place": ("a.json", squad({"text": "s"}), "question_answering",
    ['(id "q2")', "occurs", "times in the context", "answer_start"]),
    "squad: place is no number": (
        "a.json", squad({"text": "Oslo", "answer_start": "13"}), "question_answering", ['(id "q2")', "'13'",
        "answer_start"],
    ),
    "squad: answer is a number": ("a.json", squad(7), "question_answering", ['(id "q2")', "got [7]"]),
    "squad 2: impossible, yet answered": ("a.json", squad(is_impossible=True), "question_answering",
    ['(id "q2")', '"Oslo"']),
    "squad 2: no answer, yet possible": (
        "a.json", squad(answers=[], is_impossible=False), "question_answering",
        ['(id "q2")', "is_impossible is false"],
    ),
    "squad: cut off": (
        "a.json", CUT_SQUAD, "question_answering", ["a.json, line 1",
        'after the ID "q2"', "is truncated", "download or write it again"],
    ),
    "squad: damaged": (
        "a.json", squad().replace('"where?", "answers"', '"where?" "answers"', 1), "question_answering",
        ["a.json, line 1", 'after the ID "q1"', '"where?" "answers"', "Correct the file"],
    ),
    # DREAM and C3, RACE
    "dream: answer not a choice": (
        "a.json", dream(answer="Milk"), "multiple_choice",
        ["question 2 (1-2)", '"Milk"', "Tea., Milk.", 'mean "Milk."'],
    ),
    "dream: no choices": ("a.json", dream(choice=...), "multiple_choice", ["question 2 (1-2)", '"choice"']),
    "dream: no question": ("a.json", dream(question=...), "multiple_choice", ["question 2 (1-2)",
    '"question"']),
    "dream: no answer": ("a.json", dream(answer=...), "multiple_choice", ["question 2", "answer", "missing"]),
    "dream: one choice": (
        "a.json", dream(choice=["Milk."]), "multiple_choice", ["question 2", "at least two choices", "Milk."],
    ),
    "dream: a choice is no text": (
        "a.json", dream(choice=[None, "Milk."]), "multiple_choice",
        ["question 2", "texts"],
    ),
    "dream: cut off": ("a.json", CUT_DREAM, "multiple_choice", ["a.json, line 1", "is truncated"]),
    "race: letter beyond": ("a.json", race(answers=["C"]), "multiple_choice", ["question 2",
    '"C"', "A to B"]),
    "race: no options": ("a.json", race(options=...), "multiple_choice", ["passage 2", '"options"']),
    "race: one option": (
        "a.json", race(options=[["two"]], answers=["A"]), "multiple_choice",
        ["question 2", "at least two"],
    ),
    # CoNLL-2003, Weibo, Resume and MSRA NER
    "conll: a column less": (
        "a.conll", "EU NNP B-ORG\nrejects O\n", "token_classification",
        ["a.conll, line 2", "3 columns", "found 2", "rejects"],
    ),
    "conll: no tag": ("a.conll", "EU\tB-ORG\nrejects\t\n", "token_classification", ["a.conll, line 2",
    "tag is missing"]),
    "conll: tags of two schemes": (
        "a.conll", "EU B-ORG\nran O\n\nBo S-PER\n\nAda L-PER\n", "token_classification",
        ["a.conll, line 6", "L-PER", "task.scheme"],
    ),
    "conll: starts inside": (
        "a.conll", "EU B-ORG\nran O\n\nran O\nBo I-PER\n", "token_classification",
        ["a.conll, line 4", "token 2", '"Bo"', "I-PER"],
    ),
    "bmes: does not end anywhere": (
        "a.bmes", "高 B-NAME\n勇 E-NAME\n" + "\n高 B-NAME\n， O\n" * 12, "token_classification",
        ["a.bmes, line 4", "B-NAME", "11 more"],
    ),
    "bmes: does not end": (
        "a.bmes", "高 B-NAME\n勇 E-NAME\n\n高 B-NAME\n， O\n", "ner task.repair=refuse",
        ["a.bmes, line 4", "B-NAME"],
    ),
    "a sentence a line: a tag less": (
        "a.bmes", "高 勇\tB-NAME E-NAME\n高 勇 ，\tB-NAME E-NAME\n", "token_classification",
        ["a.bmes, line 2", "3 tokens but 2 tags"],
    ),
    "a sentence a line: a tag less in the first": (
        "a.bmes", "高 勇 ，\tB-NAME E-NAME\n高 勇\tB-NAME E-NAME\n", "token_classification",
        ["a.bmes, line 1", "3 words with 2 tags"],
    ),
    # Doccano, Label Studio, spaCy
    "doccano: beyond the text": (
        "a.jsonl",
        jsonl({"text": CONTEXT, "label": [[0, 3, "PER"]]}, {"text": CONTEXT, "label": [[13, 99, "LOC"]]}),
        "token_classification", ["a.jsonl, line 2", "from character 13 to 99", "18 characters"],
    ),
    "label studio: beyond the text": (
        "a.json", label_studio(_value("Oslo", 13, 99)["value"]), "token_classification",
        ["task 2", "13 to 99", "18 characters"],
    ),
    "label studio: another text": (
        "a.json", label_studio(_value("Bergen", 13, 17)["value"]), "token_classification", ["task 2",
        '"Bergen"', '"Oslo"'],
    ),
    "spacy: beyond the text": (
        "a.json", json.dumps([[CONTEXT, {"entities": [[0, 3, "PER"]]}],
        [CONTEXT, {"entities": [[13, 99, "LOC"]]}]]),
        "token_classification", ["text 2", "13 to 99", "18 characters"],
    ),
    # WikiQA, CORD-19
    "wikiqa: no grade": (
        "a.txt", "how?\tso\t1\nhow?\tor so\trelevant\n", "ranking data.text=0,1 data.label=2",
        ["a.txt, line 2", '"relevant"', "not a relevance grade"],
    ),
    "wikiqa: a cell less": (
        "a.txt", "how?\tso\t1\nhow?\tor so\n", "ranking data.text=0,1 data.label=2",
        ["a.txt, line 2", "found 2"],
    ),
    "wikiqa: one candidate each": (
        "a.txt", "how?\tso\t1\nwho?\tshe\t0\nwhere?\there\t1\n", "ranking data.text=0,1 data.label=2",
        ["a.txt, line 1", "one document", "all 3", "nothing to rank"],
    ),
    "cord19: no grade": (
        "a.csv", "query,title,label\nmasks,Masks work,1\nmasks,Caves,\n", "ranking",
        ["a.csv, line 3", '"label"', "grade"],
    ),
    # STS-B, GoEmotions, XNLI and RTE
    "stsb: no number": (
        "a.tsv", "sentence1\tsentence2\tscore\na\tb\t5.000\nc\td\thigh\n", "regression",
        ["a.tsv, line 3", '"high"'],
    ),
    "embeddings: no number": (
        "a.tsv", "sentence1\tsentence2\tscore\na\tb\t5.000\nc\td\thigh\n", "embeddings",
        ["a.tsv, line 3", '"high"'],
    ),
    "embeddings: a text is empty": (
        "a.tsv", "anchor\tpositive\na\tb\nc\t\n", "embeddings", ["a.tsv, line 3", '"positive"', "empty"],
    ),
    "goemotions: number beyond": (
        "a.tsv", "good\t0\tid1\nbad\t2,7\tid2\n",
        "multilabel data.text=0 data.label=1 task.label_file=names.txt",
        ["a.tsv, line 2", '"7"', "3 labels"],
    ),
    "rte: no label": (
        "a.tsv", "sentence1\tsentence2\tlabel\na b\tc\tentailment\nd\te\t\n", "classification",
        ["a.tsv, line 3", '"label"', "missing"],
    ),
    # Plain text
    "documents: blank": (
        "a.txt", "\n\n \n", "language_modelling data.reader=documents",
        ["a.txt", "has no rows"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "content", "task", "parts"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_with_the_location_and_nothing_is_written(
    file: str,
    content: str,
    task: str,
    parts: list[str],
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(content, encoding="utf-8")
    Path("names.txt").write_text("joy\nfear\nanger\n", encoding="utf-8")
    before = contents(tmp_path)
    said = bertune("train", file, *f"task.name={task}".split(), f"model.name={tiny_folder}")
    assert said.code == 3, said.err
    assert said.err.count("error: ") == 1 and "Traceback" not in said.err
    message = " ".join(said.err.partition("error: ")[2].split())
    for part in parts:
        assert part in message, message
    assert file in message
    assert contents(tmp_path) == before
    if ".json" in file:  # the message must not quote megabytes of a line
        assert len(message) < 600


@pytest.mark.parametrize("length", [300, 900, 1500])
def test_a_truncated_single_line_file_names_the_last_complete_question(length: int, tmp_path: Path) -> None:
    """Like an incomplete download; the error names the last question that begins before the end."""
    qas = [{"id": f"q{n}", "question": "where?", "answers": ANSWERS} for n in range(20)]
    text = json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": qas}]}]})
    file = tmp_path / "a.json"
    file.write_text(text[:length], encoding="utf-8")
    said = bertune("train", file, "task.name=question_answering", "model.name=minilm")
    last = text[:length].split('"id": "')[-1].split('"')[0]
    assert said.code == 3
    assert f'after the ID "{last}"' in " ".join(said.err.split())
    assert "download or write it again" in " ".join(said.err.split())
