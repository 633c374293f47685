"""Tag notations: bare types, suffixes, underscores, lower case; scores compared with seqeval."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seqeval.metrics import classification_report  # type: ignore[import-untyped]
from seqeval.scheme import IOB2, IOBES, Entities  # type: ignore[import-untyped]

from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.data.tables import open_table
from bertune.errors import ConfigError, DataError
from bertune.tasks import make_task
from bertune.tasks.token_classification.detection import detect
from bertune.tasks.token_classification.notations import NOTATIONS
from bertune.tasks.token_classification.reading import Example
from bertune.tasks.token_classification.schemes import Scheme, Span, read_tags, write_tags
from bertune.tasks.token_classification.task import TokenClassification, TokensPrediction
from bertune.text.tokenizer import Tokenizer

WORDS = Columns(("tokens",), "tags", None)


def task(**options: Any) -> TokenClassification:
    made = make_task(TaskConfig(name="token_classification", **options))
    assert isinstance(made, TokenClassification)
    return made


def tagged(text: str, tags: str) -> Example:
    row = Row({"tokens": text.split(), "tags": tags.split()}, Origin("a.jsonl", 7))
    return task().parse(row, WORDS)


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O PER PER O LOC O", Scheme("io")),
        ("o per per o o", Scheme("io", notation="b-per")),
        ("O DNA cell_type cell_type O O", Scheme("io")),
        ("PER-B PER-I O LOC-B", Scheme("bio", notation="PER-B")),
        ("B_PER I_PER O B_LOC", Scheme("bio", notation="B_PER")),
        ("B_GPE_NAM I_GPE_NAM O", Scheme("bio", notation="B_PER")),
        ("B-work-of-art I-work-of-art O", Scheme("bio")),
        ("work-of-art-B work-of-art-I O", Scheme("bio", notation="PER-B")),
        ("b-per i-per o", Scheme("bio", notation="b-per")),
        ("B-Per b-per I-Per O O", Scheme("bio")),
        ("PER_B PER_E o O O PER_S", Scheme("bioes", notation="PER_B")),
        ("b_PER m_PER e_PER o s_PER", Scheme("bmes", notation="b_per")),
        ("PER/B PER/I PER/L PER/U O", Scheme("bilou", notation="PER/B")),
        ("PER-I PER-I O LOC-I LOC-B", Scheme("iob1", notation="PER-B")),
        ("b i o o", Scheme("bio", typed=False, notation="b-per")),
        ("o o", Scheme("bio", notation="b-per")),
        ("BEGIN-PER INSIDE-PER OUTSIDE", Scheme("bio", notation="BEGIN-PER,INSIDE-PER,OUTSIDE")),
        ("OUTSIDE BEGIN-PER", Scheme("bio", notation="BEGIN-PER,OUTSIDE")),
        ("Begin_PER Inside_PER O", Scheme("bio", notation="Begin_PER,Inside_PER,O")),
        ("START-PER CONT-PER O START-GPE_NAM", Scheme("bio", notation="START-PER,CONT-PER,O")),
        ("INSIDE-PER INSIDE-PER O", Scheme("iob1", notation="INSIDE-PER,O")),
        (
            "PER-BEG PER-IN PER-END OUT LOC-SINGLE",
            Scheme("bioes", notation="PER-BEG,PER-IN,PER-END,PER-SINGLE,OUT"),
        ),
        ("begin-per middle-per end-per o", Scheme("bmes", notation="begin-PER,middle-PER,end-PER,o")),
        ("B-PER I-PER OUTSIDE", Scheme("bio", notation="B-PER,OUTSIDE")),
        ("B-PER I-PER \u041e", Scheme("bio", notation="B-PER,\u041e")),  # a Cyrillic letter
        ("B-PER I-PER _ _", Scheme("bio", notation="B-PER,_")),
        ("b_per 0 0 b_loc i_loc", Scheme("bio", notation="b_per,0")),
        ("BEGIN INSIDE OUTSIDE", Scheme("bio", typed=False, notation="BEGIN,INSIDE,OUTSIDE")),
        ("B I OUTSIDE", Scheme("bio", typed=False, notation="B-PER,OUTSIDE")),
        ("B-PER I-PER nil nil nil", Scheme("bio", notation="B-PER,nil")),
        ("PER_B 无 无 PER_I", Scheme("bio", notation="PER_B,无")),  # the only tag without a role
        ("begin-x inside-x pad pad", Scheme("bio", notation="begin-PER,inside-PER,pad")),
        ("PER NONE NONE NONE LOC", Scheme("io", notation="B-PER,NONE")),  # more than half of the words
        ("PER * * * LOC", Scheme("io", notation="B-PER,*")),
        ("PER PER OUTSIDE LOC", Scheme("io", notation="B-PER,OUTSIDE")),
        ("B|PER I|PER O", Scheme("bio", notation="B|PER")),
        ("PER#B PER#I O", Scheme("bio", notation="PER#B")),
        ("B\u2013PER I\u2013PER O", Scheme("bio", notation="B\u2013PER")),
        ("B--PER I--PER O B--work-of-art", Scheme("bio", notation="B--PER")),
        ("B__GPE_NAM I__GPE_NAM O", Scheme("bio", notation="B__PER")),
        ("per--b per--i o o o", Scheme("bio", notation="per--b")),
        (
            "B\u2014PER I\u2014PER O",
            Scheme("bio", notation="B\u2014PER"),
        ),  # an em dash, as word processors write
        ("B=PER I=PER O", Scheme("bio", notation="B=PER")),
        ("O START-DATE START-DATE END-DATE O", Scheme("io")),  # types
        ("O BUILDING LOC EVENT LOC O", Scheme("io")),  # types that begin with letters of roles
        ("O cell(B) cell(T) O", Scheme("io")),
        ("O LAST-NAME FIRST-NAME O", Scheme("io")),
    ],
)
def test_the_scheme_and_notation_are_detected(tags: str, scheme: Scheme) -> None:
    assert detect([tags.split()]) == scheme


@pytest.mark.parametrize(
    "tags",
    [
        "N V O N V N",  # O is a pronoun in the tag set of Gimpel et al. (2011)
        "n v o n b n",  # o is an onomatopoeia and b a distinguishing word in that of PKU
        "NN-TL JJ , . $ NN",
        "_ X X O",
        "other en en hi hi",  # languages of the words
        "en other other hi",
        "NN I-X NN DT",  # "NN" is not the only tag without a role
        "1 2 2 3",
    ],
)
def test_part_of_speech_tags_are_plain_labels(tags: str) -> None:
    assert detect([tags.split()]).name == "plain"


@pytest.mark.parametrize(
    "tags",
    [
        "O O PER I-PER",
        "O O B_PER B-PER",
        "PER-B O O B-PER",
        "O O O B-cell T-cell DNA",
        "O O BEGIN-PER INSIDE-PER PER",
        "O O B-PER I-PER B--LOC",
    ],
)
def test_mixed_notations_are_an_error_that_names_both_settings(tags: str) -> None:
    with pytest.raises(DataError, match=r"mix several schemes: .*task\.scheme=io .*task\.scheme=plain"):
        detect([tags.split()])
    assert len(task(scheme="io").fit([tagged("a b c d e f"[: 2 * len(tags.split())], tags)]).labels) > 2


@pytest.mark.parametrize(
    "tags",
    ["<B-PER> <I-PER> O O", "PER(B) PER(I) O O", "BPER IPER BLOC O O", "B- I- O O", "perB[i] perB[b] o o"],
)
def test_roles_in_an_unknown_notation_are_an_error_instead_of_entity_types(tags: str) -> None:
    with pytest.raises(DataError, match=r"a role and a type, but in an unknown notation: .*task\.scheme=io"):
        detect([tags.split()])


LONG = ("BEGIN-PER,INSIDE-PER,OUTSIDE", "per_start,per_cont,o", "PER:Begin,Out", "B-PER,_")


@pytest.mark.parametrize("name", ["bio", "iob1", "bioes", "bmes", "bilou"])
def test_spans_round_trip_through_every_notation(name: str) -> None:
    spans = (Span(0, 2, "GPE_NAM"), Span(2, 3, "GPE_NAM"), Span(4, 7, "work-of-art"), Span(8, 9, "a.b/c:d"))
    for notation in (*NOTATIONS, *LONG):
        scheme = Scheme(name, notation=notation)
        tags = write_tags(spans, 10, scheme)
        assert read_tags(tags, scheme).spans == spans, notation
        assert not read_tags(tags, scheme).unknown, notation
        outside = notation.split(",")[-1] if "," in notation else "o" if notation.islower() else "O"
        assert tags[9] == outside, notation


def test_a_run_of_equal_tags_is_one_entity_in_io() -> None:
    found = read_tags(["PER", "PER", "O", "PER", "LOC", "o"], Scheme("io"))
    assert found == read_tags(["B-PER", "I-PER", "O", "B-PER", "B-LOC", "O"], Scheme("bio"))


GOLD = ["O B-PER I-PER O O B-LOC", "B-LOC O B-PER O O O", "O O O B-ORG I-ORG O"]
FOUND = ["O B-PER O O O B-LOC", "B-LOC O B-LOC O O O", "O O O O O B-ORG"]


def rewritten(tags: str, notation: str) -> str:
    """BIO tags in another notation, or as IO tags without B- and I-."""
    spans = read_tags(tags.split(), Scheme("bio")).spans
    scheme = Scheme("io") if notation == "io" else Scheme("bio", notation=notation)
    return " ".join(write_tags(spans, len(tags.split()), scheme))


@pytest.mark.parametrize("notation", ["io", "B-PER", "PER-B", "B_PER", "b-per", "per_b", *LONG])
def test_scores_equal_those_of_seqeval_in_every_notation(notation: str) -> None:
    examples = [tagged("a b c d e f", rewritten(tags, notation)) for tags in GOLD]
    fitted = task().fit(examples)
    predictions = []
    for tags in FOUND:
        spans = [
            {"start": 2 * s.start, "end": 2 * s.end - 1, "label": s.label}
            for s in read_tags(tags.split(), Scheme("bio")).spans
        ]
        predictions.append(TokensPrediction(spans, list("abcdef"), rewritten(tags, notation).split()))
    found = fitted.score(predictions, examples)
    sides = ([tags.split() for tags in side] for side in (GOLD, FOUND))
    expected = classification_report(*sides, mode="strict", scheme=IOB2, output_dict=True)
    assert found["f1"] == pytest.approx(expected["micro avg"]["f1-score"])
    assert found["recall"] == pytest.approx(expected["micro avg"]["recall"])
    assert {row["label"]: row["f1"] for row in found.details["per_class"]} == pytest.approx(
        {label: expected[label]["f1-score"] for label in ("PER", "LOC", "ORG")}
    )


def test_suffix_notation_is_read_like_in_seqeval() -> None:
    tags = ["PER-B", "PER-I", "PER-E", "O", "LOC-S", "ORG-B", "ORG-E"]
    expected = Entities([tags], IOBES, suffix=True).entities[0]
    found = read_tags(tags, detect([tags])).spans
    assert [(e.start, e.end, e.tag) for e in expected] == list(found)


def test_f1_is_zero_without_predicted_entities() -> None:
    examples = [tagged("a b c d", "O PER PER O"), tagged("a b c d", "O O LOC O")]
    nothing = [TokensPrediction([], list("abcd"), ["O"] * 4) for _ in examples]
    assert task().fit(examples).score(nothing, examples)["f1"] == 0


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ("O PER PER O LOC", "tags: IO"),
        ("o per-b per-i o loc-b", "tags: BIO (IOB2), written like per-b"),
        ("O B_PER E_PER O S_LOC", "tags: BIOES, written like B_PER"),
        (
            "OUTSIDE BEGIN-PER INSIDE-PER OUTSIDE BEGIN-LOC",
            "tags: BIO (IOB2), written like BEGIN-PER, INSIDE-PER, OUTSIDE",
        ),
    ],
)
def test_labels_are_bio_and_predicted_tags_use_the_notation_of_the_data(
    tiny_weights: Path, tags: str, note: str
) -> None:
    example = tagged("the box lamp and pen", tags)
    fitted = task().fit([example])
    assert fitted.notes == (note,)
    assert [label[:2] for label in fitted.labels] == ["O", "B-", "I-", "B-", "I-"]
    saved = task(**fitted.options.model_dump()).fitted(fitted.labels)
    (sequence,) = saved.encode([example], Tokenizer.pretrained(tiny_weights), None)
    outputs = np.zeros((len(sequence), len(saved.labels)), np.float32)
    for token, gold in enumerate(np.asarray(sequence.gold)):
        outputs[token, max(gold, 0)] = 9.0
    found = saved.decode([outputs], [sequence], example)
    assert found.tags == tags.split()
    assert [span["text"] for span in found.spans] == ["box lamp", "pen"]
    assert saved.score([found], [example])["f1"] == 1


def test_adjacent_entities_of_one_type_are_merged_in_io(tiny_weights: Path) -> None:
    fitted = task().fit([tagged("the box lamp the", "O X X O")])
    example = tagged("the box lamp the", "O X X O")
    (sequence,) = fitted.encode([example], Tokenizer.pretrained(tiny_weights), None)
    outputs = np.zeros((len(sequence), 3), np.float32)
    outputs[[0, 1, 4, 5], 0] = outputs[[2, 3], 1] = 9.0
    found = fitted.decode([outputs], [sequence], example)
    assert ([span["text"] for span in found.spans], found.tags) == (["box lamp"], ["O", "X", "X", "O"])


def test_a_file_in_another_notation_is_an_error_unless_the_scheme_is_auto() -> None:
    labels = task().fit([tagged("a b c", "X X O"), tagged("a b c", "O O O")]).labels
    io, dashed = task(scheme="io").fitted(labels), task(scheme="bio").fitted(labels)
    for fitted, tags in ((io, "B-X I-X O"), (io, "X_B X_I O"), (dashed, "X X O"), (dashed, "X-B X-I O")):
        with pytest.raises(DataError, match=r"task\.scheme=auto"):
            fitted.for_scoring([tagged("a b c", tags)])
    auto = task(scheme="auto").fitted(labels)
    said = TokensPrediction([{"start": 0, "end": 3, "label": "X"}], [], [])
    for tags in ("B-X I-X O", "X_B X_I O", "X X O", "b-X i-X o", "B-X E-X O"):
        rows = [tagged("a b c", tags)]
        told = auto.for_scoring(rows)
        predicted = TokensPrediction(said.spans, said.words, tags.split())
        assert dict(told.score([predicted], rows).values) == dict.fromkeys(told.task.scores, 1.0)


def test_o_that_is_not_the_most_frequent_tag_is_a_label_with_a_note() -> None:
    rows = [tagged("a b c d", "N V O N")]
    fitted = task().fit(rows)
    assert fitted.labels == ("N", "O", "V")
    assert fitted.notes[1].startswith(
        '"O" is a label like any other, because it is not the most frequent tag'
    )
    assert task(scheme="io").fit(rows).labels == ("O", "B-N", "I-N", "B-V", "I-V")


@pytest.mark.parametrize("tags", ["O <B-PER> <I-PER>", "O B(PER) I(PER)", "O O BeginPer InsidePer"])
def test_roles_in_an_unknown_notation_are_refused(tags: str) -> None:
    with pytest.raises(DataError, match=r"unknown notation: .*B-PER and I-PER; or set task\.scheme=io"):
        detect([tags.split()])


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("(PER* *) * * (LOC)", r"in the bracket notation of CoNLL-2005 .*Expected tags such as B-PER"),
        ("(12 12) - - (3)", r"in the bracket notation"),
        ("0 0 0 1 2 10", r"are numbers: 0, 1, 2, 10\. Expected names, .*save_to_disk.*task\.scheme=plain"),
    ],
)
def test_tags_that_are_brackets_or_indices_are_refused(tags: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        detect([tags.split()])
    words = " ".join("abcdef"[: len(tags.split())])
    assert len(task(scheme="plain").fit([tagged(words, tags)]).labels) == len({*tags.split()})


def test_an_unknown_notation_is_an_error() -> None:
    expected = r"task\.notation must be auto, one of B-PER.*, or examples of .*, got 'X-B'"
    with pytest.raises(ConfigError, match=expected):
        task(notation="X-B")


@pytest.mark.parametrize(
    "tags",
    ["O PER PER O", "O PER-B PER-I O", "O B_PER I_PER O", "o b-per i-per o", "OUT BEGIN-PER INSIDE-PER OUT"],
)
def test_a_txt_file_of_tagged_words_is_recognized_in_any_notation(tmp_path: Path, tags: str) -> None:
    path = tmp_path / "a.txt"
    lines = [f"{word} {tag}" for word, tag in zip("abcd", tags.split(), strict=True)]
    path.write_text("\n".join([*lines, "", *lines, ""]), encoding="utf-8")
    rows = list(open_table(path, DataConfig(), ("text", "label")).rows())
    assert [row.values["tags"] for row in rows] == [tags.split()] * 2


def test_a_txt_table_of_labels_is_not_read_as_tagged_words(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("good\tA\nbad\tB\n\ngood\tO\nfine\tA\n", encoding="utf-8")
    assert "tokens" not in next(open_table(path, DataConfig(), ("text", "label")).rows()).values
