"""Token classification: formats of gold, windows over long texts, scores against the gold as given."""

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


def test_words_and_tags_can_be_separated_by_spaces() -> None:
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
def test_all_span_formats_are_read(cell: Any) -> None:
    assert parsed(TEXT, "Ada sings.", cell).gold == ({"start": 0, "end": 3, "label": "PER"},)


def test_lists_written_as_text_and_arrays_are_read() -> None:
    assert parsed(WORDS, "Ada sings", "['B-PER', 'O']").gold == ("B-PER", "O")
    assert parsed(WORDS, np.array(["Ada", "sings"]), np.array([1, 0])).gold == ("1", "0")


@pytest.mark.parametrize(
    ("text", "cell", "message"),
    [
        ("Ada", [[0, 4, "PER"]], r'span "PER" from character 0 to 4 is outside the text\. .* 3 characters'),
        ("Ada", [[2, 2, "PER"]], r"from character 2 to 2 is empty"),
        ("Ada", [[-1, 2, "PER"]], r"is outside the text"),
        ("Ada !", [[3, 4, "PER"]], r'the span "PER" from character 3 to 4 contains no word'),
        ("Ada", [[0, 3]], r"invalid span \[0, 3\]\. Expected one tag per token"),
        ("Ada", [{"from": 0, "to": 3, "label": "PER"}], r"invalid span \{'from'"),
        ("Ada", [[0, 3, ""]], r"empty label"),
        ("Ada sings", [{"start": 0, "end": 3, "label": "PER", "text": "sings"}], r'text there is "Ada"'),
        ("Ada sings", ["B-PER"], r"2 tokens but 1 tag\."),
        ("Ada", None, r'the label in column "spans" is missing'),
        ("Ada", "", r'the label in column "spans" is missing'),
        ("Ada", {"a": 1}, r'column "spans" contains an object'),
        ("Ada", ["O", [0, 3, "X"]], r"mixes tags and other values"),
        (["Ada"], [[0, 3, "PER"]], r"character spans require a text, got a list of tokens"),
        (["Ada", ""], ["O", "O"], r'token 2 in column "text" is empty'),
        (["Ada", 3], ["O", "O"], r'expected text tokens in column "text", got a number'),
        (" ", [], r'column "text" contains no words'),
    ],
)
def test_invalid_gold_is_an_error_with_its_location(text: Any, cell: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"^a\.jsonl, line 7: .*{message}"):
        parsed(TEXT, text, cell)


def test_the_scheme_is_noted_and_required_of_other_files() -> None:
    fitted = task().fit([tagged("常 建 在", "B-PER E-PER O")])
    assert fitted.labels == ("O", "B-PER", "I-PER")
    assert fitted.notes == ("tags: BIOES",)
    assert (fitted.options.scheme, fitted.options.words) == ("bioes", "characters")
    with pytest.raises(DataError, match=r'line 7: token 2, "b": the tag "PER" does not belong to BIOES'):
        fitted.label_names(tagged("a b", "O PER"))


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (tagged("EU rejects U.S. call", "B-ORG O B-LOC O"), ["U.S.", "1966", "年"]),
        (tagged("我 在 北 京", "O O B-LOC E-LOC"), [*"U.S.1966年"]),
        (spanned("in the U.S.", [7, 11, "LOC"]), ["U", ".", "S", ".", "1966", "年"]),
    ],
)
def test_raw_text_is_split_like_the_training_data(example: Example, words: list[str]) -> None:
    made = task()
    fitted = made.fit([example])
    row, columns = Row({"text": "U.S. 1966年"}, Origin("b", 1)), Columns(("text",), None, None)
    reloaded = task(**fitted.options.model_dump())
    assert reloaded.fitted(fitted.labels).options == fitted.options
    for trained in (fitted.task, reloaded):
        found = trained.parse(row, columns)
        assert [found.texts[0][start:end] for start, end in found.words] == words
    # The unfitted task still splits at every punctuation mark.
    found = made.parse(row, columns)
    assert [found.texts[0][start:end] for start, end in found.words] == ["U", ".", "S", ".", "1966", "年"]


BROKEN_BIO = [*[tagged("a b c", "B-X I-X O")] * 9, tagged("a b c", "O I-X O"), tagged("a b c", "B-X O B-X")]
BROKEN_BMES = [*[tagged("a b c", "B-X E-X O")] * 9, tagged("a b c", "O B-X O"), tagged("a b c", "S-X O S-X")]


def test_an_invalid_i_tag_in_bio_is_an_error_unless_repair_is_conlleval() -> None:
    message = r'line 7: token 2, "b": the tag "I-X" is invalid in BIO .* after "O"'
    with pytest.raises(DataError, match=message):
        task().fit(BROKEN_BIO)
    fitted = task(repair="conlleval").fit(BROKEN_BIO)
    assert fitted.notes[1].startswith("1 tag is invalid in BIO (IOB2) and was read as in the conlleval")
    assert fitted.label_names(BROKEN_BIO[9]) == ("X",)


def test_invalid_tags_in_bioes_are_counted_or_an_error() -> None:
    assert task().fit(BROKEN_BMES).notes[1] == (
        '1 tag is invalid in BIOES and was read as in the conlleval script (first: a.jsonl, line 7: '
        'token 2, "b": the tag "B-X"); set task.repair=refuse to raise an error instead'
    )  # fmt: skip
    with pytest.raises(DataError, match=r'the tag "B-X" is invalid in BIOES after "O"'):
        task(repair="refuse").fit(BROKEN_BMES)


def test_many_invalid_tags_are_an_error() -> None:
    rows = [tagged("a b", "O B-X")] * 20 + [tagged("a b", "S-X O")]
    with pytest.raises(DataError, match=r"19 more tags are invalid in BIOES.*task\.scheme"):
        task().fit(rows)
    assert task(repair="conlleval").fit(rows).labels == ("O", "B-X", "I-X")
    strayed = [tagged("a b", "O I-X")] * 20 + [tagged("a b", "B-X O")]
    assert task(scheme="iob1").fit(strayed).labels == ("O", "B-X", "I-X")


def test_data_detected_as_bioes_can_be_followed_by_bmes() -> None:
    fitted = task().fit([tagged("a b c", "B-X E-X S-X")])
    assert fitted.label_names(tagged("a b c d", "B-X M-X E-X O")) == ("X",)
    assert fitted.for_scoring([tagged("a b c d", "B-X M-X E-X O")]) is fitted


def test_files_that_do_not_fit_the_labels_are_an_error() -> None:
    plain = task().fit([tagged("a b", "NN VB")])
    with pytest.raises(
        DataError, match="this row has character spans, but the training data has one plain tag per word"
    ):
        plain.for_scoring([spanned("Ada sings", [0, 3, "PER"])])
    fitted = task().fit([tagged("a b", "S-X O"), tagged("a b", "B-X E-X")])
    with pytest.raises(DataError, match="19 more tags are invalid in BIOES"):
        fitted.for_scoring([tagged("a b", "O B-X")] * 20)


def test_with_scheme_auto_a_file_is_scored_in_its_own_scheme() -> None:
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
    message = r"the tags do not mark where an entity begins, .*\(O, B-X, I-X\) do\."
    with pytest.raises(DataError, match=message):
        auto.for_scoring([tagged("a b", "NN VB")])
    with pytest.raises(ConfigError, match=r"task\.scheme=bio requires .* of this model are NN, VB"):
        task(scheme="bio").fitted(("NN", "VB")).for_scoring([tagged("a b", "NN VB")])


def test_scoring_a_file_does_not_change_the_fitted_task(tiny_weights: Path) -> None:
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


def test_warnings_depend_only_on_the_given_examples() -> None:
    fitted = task(repair="conlleval").fit([tagged("a b", "B-X O"), tagged("a b", "B-X I-X")])
    slip, new, good = [[tagged("a b", tags)] for tags in ("O I-X", "B-NEW O", "B-X O")]
    said = [TokensPrediction([], [], ["O", "O"])]
    for rows in (slip, new):
        fitted.score(said, rows)
    of_good, of_new, of_slip = ([x.fact for x in fitted.limitations(r, [])] for r in (good, new, slip))
    assert of_good == []
    assert of_new[0].startswith("1 word has")
    assert of_slip[0].startswith("1 tag is invalid")


def test_changes_of_spans_are_noted() -> None:
    rows = [
        spanned("Ada Lovelace sings", [0, 12, "PER"], [4, 12, "NAME"], [13, 17, "ACT"]),
        spanned("Ada Lovelace sings", [0, 12, "PER"], [4, 18, "ODD"]),
        spanned("Bo ", [0, 3, "PER"]),
    ]
    inside, nested, overlapping, trimmed = task().fit(rows).notes
    assert inside.startswith(
        "1 span begins or ends inside a word and was extended to the whole word (first: a.jsonl, line 7)"
    )
    assert nested.startswith("1 span is nested in another span and is not used for training")
    assert overlapping.startswith("1 span overlaps a longer or earlier span")
    assert trimmed.startswith("1 span begins or ends with spaces")


def test_training_data_without_entities_or_with_one_tag_is_an_error() -> None:
    with pytest.raises(DataError, match="the only row does not have an entity"):
        task().fit([tagged("a b", "O O")])
    with pytest.raises(DataError, match='all words have the tag "NN"'):
        task().fit([tagged("a b", "NN NN")])


def perfect(fitted: FittedTokenClassification, tokenizer: Tokenizer, example: Example, n: int) -> Any:
    """The prediction decoded from outputs that are highest at the gold label of each token."""
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
def test_all_words_of_a_long_text_are_tagged(tiny_weights: Path, n: int) -> None:
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


def test_only_the_first_token_of_a_word_has_gold(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    example = tagged("phones box", "B-X O")
    (sequence,) = task().fit([example]).encode([example], tokenizer, None)
    assert tokenizer.tokens(sequence.ids) == ["[CLS]", "phone", "##s", "box", "[SEP]"]
    assert np.asarray(sequence.gold).tolist() == [-100, 1, -100, 0, -100]
    assert sequence.offsets is not None
    assert sequence.offsets.tolist() == [[-1, -1], [0, 5], [5, 6], [7, 10], [-1, -1]]


def test_a_word_without_tokens_continues_its_entity(tiny_weights: Path) -> None:
    example = parsed(WORDS, ["box", "\u3000", "lamp", "\u3000"], ["B-X", "I-X", "I-X", "O"])
    found = perfect(task().fit([example]), Tokenizer.pretrained(tiny_weights), example, 50)
    assert found.tags == ["B-X", "I-X", "I-X", "O"]


def test_predicted_tags_use_the_scheme_of_the_data(tiny_weights: Path) -> None:
    example = tagged("box lamp the pen", "B-X E-X O S-Y")
    fitted = task().fit([example, tagged("a b c", "B-X M-X E-X")])
    assert fitted.labels == ("O", "B-X", "I-X", "B-Y", "I-Y")
    assert perfect(fitted, Tokenizer.pretrained(tiny_weights), example, 50).tags == [
        "B-X",
        "E-X",
        "O",
        "S-Y",
    ]


def test_an_i_label_is_only_predicted_within_an_entity(tiny_weights: Path) -> None:
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
    (warning,) = [one.fact for one in fitted.limitations([test], []) if "missed" in one.fact]
    assert warning.startswith("1 word has gold labels that do not occur in the training data")
    assert "B-NEW" in warning


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


def test_byte_level_tokens_are_aligned_with_words(tmp_path: Path) -> None:
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
        "model.max_length": 6,  # the length of the texts, because later positions are not trained
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


def test_spans_can_be_written_as_json_or_as_a_python_literal() -> None:
    for cell in ('[{"start": 0, "end": 3, "label": "PER", "note": null}]', "[(0, 3, 'PER')]"):
        row = Row({"text": "Ada sings", "spans": cell}, Origin("a.csv", 2))
        assert [(s.start, s.end, s.label) for s in task().parse(row, TEXT).spans] == [(0, 3, "PER")]


def test_a_deeply_nested_cell_is_an_error_with_its_location() -> None:
    row = Row({"text": "Ada sings", "spans": "[" * 100_000}, Origin("a.csv", 2))
    with pytest.raises(DataError, match=r'^a\.csv, line 2: column "spans" begins .*nested too deeply'):
        task().parse(row, TEXT)
