"""Tagging words: every form of gold, windows over long texts, scores against the gold as given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertune import api
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.tasks import Output, make_task
from bertune.tasks.token_classification.reading import Example
from bertune.tasks.token_classification.task import (
    FittedTokenClassification,
    TokenClassification,
    TokensPrediction,
)
from bertune.text.tokenizer import Tokenizer
from trainings import train

WORDS = Columns(("tokens",), "tags", None)
TEXT = Columns(("text",), "spans", None)


def task(**options: Any) -> TokenClassification:
    made = make_task(TaskConfig(name="token_classification", **options))
    assert isinstance(made, TokenClassification)
    return made


def parsed(columns: Columns, *values: Any) -> Example:
    row = Row(dict(zip((*columns.text, columns.label), values, strict=True)), Origin("a.jsonl", 7))
    return task().parse(row, columns)


def tagged(text: str, tags: str) -> Example:
    return parsed(WORDS, text.split(), tags.split())


def spanned(text: str, *spans: Any) -> Example:
    return parsed(TEXT, text, list(spans))


def test_a_sentence_with_spaces_between_its_words_and_between_its_tags() -> None:
    found = parsed(WORDS, "常 建 良 在", "B-NAME M-NAME E-NAME O")
    assert found.texts == ("常建良在",)
    assert found.gold == ("B-NAME", "M-NAME", "E-NAME", "O")
    assert [found.texts[0][a:b] for a, b in found.words] == list("常建良在")


@pytest.mark.parametrize(
    "cell",
    [
        [[0, 3, "PER"]],
        [{"start": 0, "end": 3, "label": "PER"}],
        [{"id": 4, "start_offset": 0, "end_offset": 3, "label": "PER"}],
        [{"start": 0, "end": 3, "labels": ["PER"], "text": "Ada"}],
        {"entities": [(0, 3, "PER")]},
        '[[0, 3, "PER"]]',
        [[0, 4, "PER"]],
    ],
)
def test_spans_are_read_however_they_are_written(cell: Any) -> None:
    assert parsed(TEXT, "Ada sings.", cell).gold == ({"start": 0, "end": 3, "label": "PER"},)


def test_lists_that_a_table_holds_as_texts_are_read() -> None:
    assert parsed(WORDS, "Ada sings", "['B-PER', 'O']").gold == ("B-PER", "O")
    assert parsed(WORDS, np.array(["Ada", "sings"]), np.array([1, 0])).gold == ("1", "0")


@pytest.mark.parametrize(
    ("text", "cell", "message"),
    [
        ("Ada", [[0, 4, "PER"]], r'span "PER" from character 0 to 4 is outside the text; .* 3 characters'),
        ("Ada", [[2, 2, "PER"]], r"from character 2 to 2 has no length"),
        ("Ada", [[-1, 2, "PER"]], r"is outside the text"),
        ("Ada !", [[3, 4, "PER"]], r'there is no word in the span "PER", character 3 to 4'),
        ("Ada", [[0, 3]], r"a span of an unknown form, \[0, 3\]; write tags"),
        ("Ada", [{"from": 0, "to": 3, "label": "PER"}], r"a span of an unknown form"),
        ("Ada", [[0, 3, ""]], r"empty label"),
        ("Ada sings", [{"start": 0, "end": 3, "label": "PER", "text": "sings"}], r'said to be "sings", but'),
        ("Ada sings", ["B-PER"], r"2 tokens but 1 tags"),
        ("Ada", None, r'there is nothing in "spans"'),
        ("Ada", "", r'there is nothing in "spans"'),
        ("Ada", {"a": 1}, r'"spans" is an object'),
        ("Ada", ["O", [0, 3, "X"]], r"mixes tags and other things"),
        (["Ada"], [[0, 3, "PER"]], r"need the text itself, not a list of tokens"),
        (["Ada", ""], ["O", "O"], r'token 2 in column "text" is empty'),
        (["Ada", 3], ["O", "O"], r'a token in column "text" is a number'),
        (" ", [], r"there is no word"),
    ],
)
def test_bad_gold_is_refused_with_its_place(text: Any, cell: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"^a\.jsonl, line 7: .*{message}"):
        parsed(TEXT, text, cell)


def test_the_scheme_is_said_and_kept() -> None:
    fitted = task().fit([tagged("常 建 在", "B-PER E-PER O")])
    assert fitted.labels == ("O", "B-PER", "I-PER")
    assert fitted.notes == ("tags: BIOES",)
    assert (fitted.options.scheme, fitted.options.words) == ("bioes", "characters")
    with pytest.raises(DataError, match=r'line 7: token 2, "b": the tag "PER" is not of the scheme BIOES'):
        fitted.label_names(tagged("a b", "O PER"))


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (tagged("EU rejects U.S. call", "B-ORG O B-LOC O"), ["U.S.", "1966", "年"]),
        (tagged("我 在 北 京", "O O B-LOC E-LOC"), [*"U.S.1966年"]),
        (spanned("in the U.S.", [7, 11, "LOC"]), ["U", ".", "S", ".", "1966", "年"]),
    ],
)
def test_raw_text_is_cut_as_the_training_data_was(example: Example, words: list[str]) -> None:
    made = task()
    fitted = made.fit([example])
    row, columns = Row({"text": "U.S. 1966年"}, Origin("b", 1)), Columns(("text",), None, None)
    reloaded = task(**fitted.options.model_dump())
    assert reloaded.fitted(fitted.labels).options == fitted.options
    for trained in (fitted.task, reloaded):
        found = trained.parse(row, columns)
        assert [found.texts[0][start:end] for start, end in found.words] == words
    # What was not fitted goes on cutting at every sign, as it did for the training rows.
    found = made.parse(row, columns)
    assert [found.texts[0][start:end] for start, end in found.words] == ["U", ".", "S", ".", "1966", "年"]


BROKEN_BIO = [*[tagged("a b c", "B-X I-X O")] * 9, tagged("a b c", "O I-X O"), tagged("a b c", "B-X O B-X")]
BROKEN_BMES = [*[tagged("a b c", "B-X E-X O")] * 9, tagged("a b c", "O B-X O"), tagged("a b c", "S-X O S-X")]


def test_a_stray_inside_of_bio_is_refused_unless_conlleval_is_asked_for() -> None:
    with pytest.raises(DataError, match=r'line 7: token 2, "b": the tag "I-X" breaks .* after "O"'):
        task().fit(BROKEN_BIO)
    fitted = task(repair="conlleval").fit(BROKEN_BIO)
    assert fitted.notes[1].startswith("1 tags break the scheme BIO (IOB2) and are read as conlleval reads")
    assert fitted.label_names(BROKEN_BIO[9]) == ("X",)


def test_a_slip_in_a_scheme_with_ends_is_counted_or_refused() -> None:
    assert task().fit(BROKEN_BMES).notes[1] == (
        '1 tags break the scheme BIOES and are read as conlleval reads them (first: a.jsonl, line 7: '
        'token 2, "b": the tag "B-X"); task.repair=refuse refuses them'
    )  # fmt: skip
    with pytest.raises(DataError, match=r'the tag "B-X" breaks the scheme BIOES after "O"'):
        task(repair="refuse").fit(BROKEN_BMES)


def test_tags_that_mostly_break_their_scheme_are_no_accident() -> None:
    rows = [tagged("a b", "O B-X")] * 20 + [tagged("a b", "S-X O")]
    with pytest.raises(DataError, match=r"19 more break the scheme .*task\.scheme"):
        task().fit(rows)
    assert task(repair="conlleval").fit(rows).labels == ("O", "B-X", "I-X")
    strayed = [tagged("a b", "O I-X")] * 20 + [tagged("a b", "B-X O")]
    assert task(scheme="iob1").fit(strayed).labels == ("O", "B-X", "I-X")


def test_what_was_taken_for_bioes_may_go_on_as_bmes() -> None:
    fitted = task().fit([tagged("a b c", "B-X E-X S-X")])
    assert fitted.label_names(tagged("a b c d", "B-X M-X E-X O")) == ("X",)
    assert fitted.for_scoring([tagged("a b c d", "B-X M-X E-X O")]) is fitted


def test_files_that_cannot_be_scored_are_refused_before_anything_is_learned() -> None:
    plain = task().fit([tagged("a b", "NN VB")])
    with pytest.raises(DataError, match="spans of characters, but the training data has a tag for each word"):
        plain.for_scoring([spanned("Ada sings", [0, 3, "PER"])])
    fitted = task().fit([tagged("a b", "S-X O"), tagged("a b", "B-X E-X")])
    with pytest.raises(DataError, match="19 more break the scheme BIOES"):
        fitted.for_scoring([tagged("a b", "O B-X")] * 20)


def test_a_model_scores_a_file_in_another_scheme_when_told() -> None:
    labels = task().fit([tagged("a b c", "B-X I-X O")]).labels
    trained = task(scheme="iob1").fitted(labels)
    assert trained.for_scoring([tagged("a b c", "I-X I-X O")]) is trained
    rows = [tagged("a b c d", "B-X M-X E-X O"), tagged("a b", "S-X O")]
    auto = task(scheme="auto").fitted(labels)
    told = auto.for_scoring(rows)
    assert told.labels == labels
    said = TokensPrediction([{"start": 0, "end": 5, "label": "X"}], [], ["B-X", "M-X", "E-X", "O"])
    other = TokensPrediction([{"start": 0, "end": 1, "label": "X"}], [], ["S-X", "O"])
    assert told.score([said, other], rows)["f1"] == 1
    assert auto.for_scoring([tagged("a b c", "X X O")]).options.scheme == "io"
    with pytest.raises(DataError, match=r"its tags do not mark where an entity begins, .* O, B-X, I-X, do"):
        auto.for_scoring([tagged("a b", "NN VB")])
    with pytest.raises(ConfigError, match=r"task\.scheme=bio: the labels of this model, NN, VB"):
        task(scheme="bio").fitted(("NN", "VB")).for_scoring([tagged("a b", "NN VB")])


def test_scoring_a_file_changes_nothing_of_the_model(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    train, bmes = tagged("box lamp pen", "B-X I-X O"), tagged("box lamp pen", "B-X E-X S-X")
    auto = task(scheme="auto").fitted(task().fit([train]).labels)
    for rows, scheme in (([bmes], "bioes"), ([train], "bio"), ([bmes], "bioes")):
        told = auto.for_scoring(rows)
        assert told.options.scheme == scheme
        found = perfect(told, tokenizer, rows[0], 50)
        assert found.tags == list(rows[0].tags)
        assert told.score([found], rows)["f1"] == 1
        assert auto.options.scheme == "auto"
        assert perfect(auto, tokenizer, train, 50).tags == list(train.tags)


def test_warnings_are_about_the_texts_that_they_are_asked_for() -> None:
    fitted = task(repair="conlleval").fit([tagged("a b", "B-X O"), tagged("a b", "B-X I-X")])
    slip, new, good = [[tagged("a b", tags)] for tags in ("O I-X", "B-NEW O", "B-X O")]
    said = [TokensPrediction([], [], ["O", "O"])]
    for rows in (slip, new):
        fitted.score(said, rows)
    assert fitted.warnings(said, good, []) == []
    assert [w.partition(" have")[0] for w in fitted.warnings(said, new, [])] == ["1 words"]
    assert [w.partition(" break")[0] for w in fitted.warnings(said, slip, [])] == ["1 tags"]


def test_what_is_odd_about_spans_is_said() -> None:
    rows = [
        spanned("Ada Lovelace sings", [0, 12, "PER"], [4, 12, "NAME"], [13, 17, "ACT"]),
        spanned("Ada Lovelace sings", [0, 12, "PER"], [4, 18, "ODD"]),
        spanned("Bo ", [0, 3, "PER"]),
    ]
    inside, nested, overlapping, trimmed = task().fit(rows).notes
    assert inside.startswith(
        "1 spans begin or end inside a word; all of it is learned (first: a.jsonl, line 7)"
    )
    assert nested.startswith("1 spans are nested in another one and are not learned")
    assert overlapping.startswith("1 spans overlap a longer one")
    assert trimmed.startswith("1 spans begin or end with spaces")


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(DataError, match="no entity is in any of the 1 rows"):
        task().fit([tagged("a b", "O O")])
    with pytest.raises(DataError, match='every word has the tag "NN"'):
        task().fit([tagged("a b", "NN NN")])


def perfect(fitted: FittedTokenClassification, tokenizer: Tokenizer, example: Example, n: int) -> Any:
    """What is decoded from outputs that say the gold of each sequence, and nothing where it has none."""
    sequences = fitted.encode([example], tokenizer, n)
    outputs: list[Output] = []
    for sequence in sequences:
        scores = np.zeros((len(sequence), len(fitted.labels)), np.float32)
        for token, gold in enumerate(np.asarray(sequence.gold)):
            if gold >= 0:
                scores[token, gold] = 9.0
        outputs.append(scores)
    return fitted.decode(outputs, sequences, example)


@pytest.mark.parametrize("n", [5, 8, 200])
def test_a_long_text_is_tagged_whole(tiny_weights: Path, n: int) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    words = ["the", "phones", "is", "great", "boxs", "!"] * 5
    tags = ["O", "B-X", "I-X", "O", "B-Y", "O"] * 5
    example = tagged(" ".join(words), " ".join(tags))
    fitted = task(stride=3).fit([example])
    sequences = fitted.encode([example], tokenizer, n)
    assert (len(sequences) == 1) == (n == 200)
    assert max(map(len, sequences)) <= n
    assert sum(int((np.asarray(s.gold) >= 0).sum()) for s in sequences) == len(words)
    found = perfect(fitted, tokenizer, example, n)
    assert found.tags == tags
    assert [s["text"] for s in found.spans[:2]] == ["phones is", "boxs"]
    scores = fitted.score([found], [example])
    assert scores["f1"] == scores["accuracy"] == scores["macro_f1"] == 1
    assert scores.details["per_class"][0] == {
        "label": "X", "precision": 1, "recall": 1, "f1": 1, "support": 5,
    }  # fmt: skip


def test_only_the_first_token_of_a_word_is_learned(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    example = tagged("phones box", "B-X O")
    (sequence,) = task().fit([example]).encode([example], tokenizer, None)
    assert tokenizer.tokens(sequence.ids) == ["[CLS]", "phone", "##s", "box", "[SEP]"]
    assert np.asarray(sequence.gold).tolist() == [-100, 1, -100, 0, -100]
    assert sequence.offsets is not None
    assert sequence.offsets.tolist() == [[-1, -1], [0, 5], [5, 6], [7, 10], [-1, -1]]


def test_a_word_without_a_token_goes_on_with_its_entity(tiny_weights: Path) -> None:
    example = parsed(WORDS, ["box", "\u3000", "lamp", "\u3000"], ["B-X", "I-X", "I-X", "O"])
    found = perfect(task().fit([example]), Tokenizer.pretrained(tiny_weights), example, 50)
    assert found.tags == ["B-X", "I-X", "I-X", "O"]


def test_tags_come_back_in_the_scheme_they_were_given_in(tiny_weights: Path) -> None:
    example = tagged("box lamp the pen", "B-X E-X O S-Y")
    fitted = task().fit([example, tagged("a b c", "B-X M-X E-X")])
    assert fitted.labels == ("O", "B-X", "I-X", "B-Y", "I-Y")
    assert perfect(fitted, Tokenizer.pretrained(tiny_weights), example, 50).tags == [
        "B-X",
        "E-X",
        "O",
        "S-Y",
    ]


def test_no_entity_goes_on_that_was_not_begun(tiny_weights: Path) -> None:
    example = tagged("box lamp", "B-X I-X")
    fitted = task().fit([example])
    sequences = fitted.encode([example], Tokenizer.pretrained(tiny_weights), None)
    outputs = np.zeros((4, 3), np.float32)
    outputs[1] = [2.0, 0.0, 3.0]  # I-X cannot be the first
    outputs[2] = [0.0, 0.0, 1.0]
    found = fitted.decode([outputs], sequences, example)
    assert found.tags == ["O", "O"]


def test_scores_are_against_the_spans_as_given_and_unknown_labels_count_as_missed(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    fitted = task().fit([spanned("the box is great", [4, 7, "X"])])
    test = spanned("the phones is great", [4, 9, "X"], [0, 3, "NEW"])
    found = perfect(fitted, tokenizer, test, 50)
    assert [s["text"] for s in found.spans] == ["phones"]
    scores = fitted.score([found], [test])
    assert scores["f1"] == 0
    (warning,) = [w for w in fitted.warnings([found], [test], []) if "missed" in w]
    assert (
        warning.startswith("1 words have gold labels that the training data does not") and "B-NEW" in warning
    )


def test_plain_tags_are_scored_by_accuracy(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    example = tagged("the box is great", "DT NN VB JJ")
    fitted = task().fit([example])
    assert fitted.labels == ("DT", "JJ", "NN", "VB")
    found = perfect(fitted, tokenizer, example, 50)
    wrong = [*found.tags[:3], "NN"]
    scores = fitted.score([type(found)(found.spans, found.words, wrong)], [example])
    assert scores["accuracy"] == scores["f1"] == 0.75
    assert [s["label"] for s in found.spans] == ["DT", "NN", "VB", "JJ"]


def test_byte_level_tokens_know_the_space_before_a_word(tmp_path: Path) -> None:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizerFast

    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(["the box, the box"] * 9, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
    fast = RobertaTokenizerFast(tokenizer_object=trainer._tokenizer)
    fast.save_pretrained(tmp_path)
    example = spanned("the box, the box", [9, 12, "X"])
    (sequence,) = task().fit([example]).encode([example], Tokenizer.pretrained(tmp_path), None)
    assert list(sequence.ids) == fast("the box, the box")["input_ids"]
    assert sequence.offsets is not None
    decided = np.flatnonzero(np.asarray(sequence.gold) >= 0)
    assert [sequence.offsets[i, 0] for i in decided] == [start for start, _ in example.words]


def test_a_model_trained_on_tokens_tags_tokens_and_raw_text(tiny_weights: Path, tmp_path: Path) -> None:
    rows = [
        {"tokens": ["the", word, "is", "great"], "tags": ["O", "B-X", "O", "O"]}
        for word in ("box", "lamp", "pen", "phone", "cup", "case", "door", "lock")
    ]
    overrides = {
        "task.name": "token_classification",
        "model.name": str(tiny_weights), "train.epochs": 30, "train.lr": 5e-3,
        "train.batch_size": 8, "machine.device": "cpu", "machine.precision": "fp32", "model.dropout": 0,
        "model.max_length": 6,  # as long as the texts: later positions are not trained
    }  # fmt: skip
    run, _ = train({"train": rows, "validation": rows}, tmp_path / "run", overrides)
    assert run.scores["f1"] == 1
    model = api.load(run)
    (of_text,) = api.predict(model, ["the box is great"])
    (of_tokens,) = api.predict(model, [{"tokens": ["the", "box", "is", "great"]}])
    assert of_text == of_tokens
    assert of_text.words == ["the", "box", "is", "great"]
    (span,) = of_text.spans
    assert {**span, "score": 1.0} == {"start": 4, "end": 7, "label": "X", "text": "box", "score": 1.0}
    (long,) = api.predict(model, ["the box is great , " * 20])
    assert len(long.tags) == 100
    assert long.tags.count("B-X") >= 15


def test_a_cell_may_hold_spans_as_json_or_as_python_prints_them() -> None:
    for cell in ('[{"start": 0, "end": 3, "label": "PER", "note": null}]', "[(0, 3, 'PER')]"):
        row = Row({"text": "Ada sings", "spans": cell}, Origin("a.csv", 2))
        assert [(s.start, s.end, s.label) for s in task().parse(row, TEXT).spans] == [(0, 3, "PER")]


def test_a_cell_nested_without_end_is_refused_with_its_place() -> None:
    row = Row({"text": "Ada sings", "spans": "[" * 100_000}, Origin("a.csv", 2))
    with pytest.raises(DataError, match=r'^a\.csv, line 2: column "spans" begins .*nested too deeply'):
        task().parse(row, TEXT)
