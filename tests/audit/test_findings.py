"""The findings of the audit about copies, groups, labels, columns and tokens."""

import json

import numpy as np
import pytest
from findings_of import distinct, findings, only, split, whole

from bertune.audit.tokens import TokenCounts

TEXTS = distinct(60)
LABELS = ["a", "b"] * 30


def test_clean_data_has_no_findings() -> None:
    test = split(distinct(20, 1), ["a", "b"] * 10, "test")
    assert findings({"train": split(TEXTS, LABELS), "test": test}) == []


def test_copies_across_splits_are_found_with_file_and_line() -> None:
    texts = distinct(40, 1)
    texts[3], texts[5] = TEXTS[9], TEXTS[20].upper() + "!"
    found = findings({"train": split(TEXTS, LABELS), "test": split(texts, ["a", "b"] * 20, "test")})
    exact, near = only(found, "exact_duplicates_across"), only(found, "near_duplicates_across")
    assert exact.level == near.level == "warning"
    assert (exact.count, exact.total, exact.split) == (1, 40, "test")
    assert exact.message == "1 of the test texts is also in train, which inflates the test scores"
    assert exact.remedy == "Set data.deduplicate=true to drop them from the training set"
    assert (exact.rows[0].place, exact.rows[0].note) == ("test.csv, line 5", "repeats train.csv, line 11")
    assert near.rows[0].place == "test.csv, line 7"
    assert not [f for f in found if f.kind.startswith("conflicting") and f.level == "warning"]


def test_many_copies_across_splits_are_an_error() -> None:
    texts = [*distinct(36, 1), *TEXTS[:4]]
    found = findings({"train": split(TEXTS, LABELS), "test": split(texts, ["a", "b"] * 20, "test")})
    assert found[0].kind == "exact_duplicates_across" and found[0].level == "error"


def test_copies_within_a_split_are_notes() -> None:
    found = findings({"train": split([*TEXTS, TEXTS[0], f"so {TEXTS[2]}"], [*LABELS, "a", "a"])})
    assert [(f.kind, f.level, f.count) for f in found] == [
        ("exact_duplicates", "note", 1),
        ("near_duplicates", "note", 1),
    ]
    assert found[0].rows[0].note == "repeats line 2"  # of the same file


def test_identical_texts_with_other_labels_are_found_within_and_across_splits() -> None:
    train = split([*TEXTS, TEXTS[0]], [*LABELS, "b"])
    test = split([*distinct(30, 1), TEXTS[1], f"{TEXTS[2]}."], [*["a", "b"] * 15, "a", "b"], "test")
    found = [f for f in findings({"train": train, "test": test}) if f.kind.startswith("conflicting")]
    assert [(f.split, f.count, f.level) for f in found] == [
        ("train", 1, "warning"), ("test", 1, "warning"), ("test", 1, "note"),
    ]  # fmt: skip
    assert found[0].message == "train: 1 row repeats an earlier text with a different label"
    assert found[0].rows[0].note == "b; line 2: a"
    assert found[1].rows[0].note == "a; train.csv, line 3: b"
    assert found[2].kind == "conflicting_labels_near"


def test_groups_in_two_splits_are_found() -> None:
    train = split(TEXTS, LABELS, groups=[f"g{i // 3}" for i in range(60)])
    test = split(distinct(30, 1), ["a", "b"] * 15, "test", ["g4", "g4", "g7", None, *["h"] * 26])
    found = only(findings({"train": train, "test": test}), "straddling_groups")
    assert (found.count, found.values["groups"], found.level) == (3, 2, "error")
    assert found.rows[0].note == "same group as train.csv, line 14"
    test = split(distinct(40, 1), ["a", "b"] * 20, "test", ["g4", *[None] * 39])
    assert only(findings({"train": train, "test": test}), "straddling_groups").level == "warning"


def test_rare_and_similar_labels_are_found() -> None:
    found = findings({"train": split(distinct(66), [*LABELS, "C", "c", "c ", "d", "d", "d"])})
    rare = only(found, "rare_labels")
    assert (rare.count, rare.total) == (4, 6) and rare.rows[0].place == "train.csv, line 62"
    assert '"C" (1), "c" (1), "c " (1), "d" (3)' in rare.message
    assert only(found, "similar_labels").count == 3
    numbers = findings({"train": split(TEXTS, [float(i) for i in range(60)])})
    assert not [f for f in numbers if f.kind == "rare_labels"]
    positions = findings(
        {"train": split(TEXTS, ["choice 0"] * 58 + ["choice 1"] * 2)}, label_scope="position"
    )
    assert not [f for f in positions if f.kind == "rare_labels"]


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        (
            ["0010", "0100", "1100"],
            "If each digit of 0010 stands for one of 4 labels, set task.name=multilabel",
        ),
        (["10", "110", "1"], "a spreadsheet may have removed zeros on the left"),
        (["0", "1", "10"], None),
        (["010", "020", "100"], None),
    ],
)
def test_label_names_that_may_be_vectors_are_found(labels: list[str], hint: str | None) -> None:
    found = [f for f in findings({"train": split(TEXTS, labels * 20)}) if f.kind == "multi_hot_labels"]
    assert [(f.level, hint in f.remedy) for f in found if hint] == [("warning", True)] * bool(hint)
    assert bool(found) == bool(hint)


def test_label_names_that_hold_several_labels_are_found() -> None:
    for sign in ("; ", "|", "、", "，", ", "):
        labels = ["fast", f"fast{sign}loud", f"loud{sign}cheap"] * 20
        found = only(findings({"train": split(TEXTS, labels)}), "joined_labels")
        assert f"task.separator={sign.strip()}" in found.remedy and (found.count, found.total) == (2, 3)
    names = ["New York, NY", "Austin, TX", "Salem, OR"] * 20
    assert not [f for f in findings({"train": split(TEXTS, names)}) if f.kind == "joined_labels"]


def test_label_names_in_another_notation_are_found() -> None:
    flags = [("joy:1", "fear:0"), ("joy:0", "fear:0"), ("joy:0", "fear:1")] * 20
    sparse = [("(0", "2) 1"), ("(0", "1) 1"), ("(0", "2) 1", "1) 1")] * 20
    for labels, remedy in ((flags, 'an object, {"fear": 1, …}'), (sparse, "a list of names")):
        found = only(findings({"train": split(TEXTS, labels)}), "label_notation")
        assert found.level == "warning" and remedy in found.remedy
    names = (["class:0", "class:1", "class:1"], [":)", ":(", "8)"], ["f (x)", "[0, 10)", "b"])
    for labels in names:
        found = findings({"train": split(TEXTS, labels * 20)})
        assert not [f for f in found if f.kind == "label_notation"]


@pytest.mark.parametrize("missing", ["nan", "NULL", "<NA>", "N/A", "NA"])
def test_labels_that_are_missing_values_are_found(missing: str) -> None:
    found = only(findings({"train": split(TEXTS, [missing, "b", "c"] * 20)}), "missing_labels")
    assert found.level == "warning" and found.count == 20
    assert f'20 rows labelled "{missing}"' in found.message and "remove these rows" in found.remedy
    labels = ["None", "none", "na"] * 20
    assert not [f for f in findings({"train": split(TEXTS, labels)}) if f.kind == "missing_labels"]


def test_constant_and_id_columns_are_found() -> None:
    pairs = [("the same question", text) for text in TEXTS]
    found = findings({"train": split(pairs, LABELS)}, columns=("question", "text"))
    constant = only(found, "constant_column")
    assert (constant.level, constant.values["column"], constant.count) == ("warning", "question", 60)
    ids = [f"user_{number:04d}" for number in range(60)]
    assert only(findings({"train": split(ids, LABELS)}), "id_column").level == "error"
    links = [f"{text} https://x.org/{i}" for i, text in enumerate(TEXTS)]
    chinese = [f"第{number}号酒店很好" for number in range(60)]
    for texts in (links, chinese):
        assert not [f for f in findings({"train": split(texts, LABELS)}) if f.kind == "id_column"]


@pytest.mark.parametrize(("unknown", "level"), [(0, None), (1, "warning"), (6, "error")])
def test_unknown_tokens_are_found(unknown: int, level: str | None) -> None:
    rows = split(TEXTS, LABELS)
    counts = TokenCounts(
        np.full(60, 10), np.full(60, unknown), np.zeros(60, np.int64), np.ones(60, np.int64), 0
    )
    found = [f for f in findings({"train": rows}, {"train": counts}) if f.kind == "unknown_tokens"]
    assert [f.level for f in found] == ([level] if level else [])
    if found:
        assert f"{unknown}0.0% of the tokens are unknown to the tokenizer of some-model" in found[0].message
        assert found[0].values["by_label"] == {"a": unknown / 10, "b": unknown / 10}


def test_the_label_with_far_more_unknown_tokens_is_named() -> None:
    unknown = np.array([8, 0] * 30)
    counts = TokenCounts(np.full(60, 10), unknown, np.zeros(60, np.int64), np.ones(60, np.int64), 0)
    found = only(findings({"train": split(TEXTS, LABELS)}, {"train": counts}), "unknown_tokens")
    assert found.message.endswith('; 80.0% in texts with the label "a"')
    assert found.rows[0].note == "8 of 10 tokens unknown"


def test_a_tokenizer_that_splits_characters_is_found() -> None:
    rows = split(["你好世界" * 5] * 3 + ["天气" * 10], ["a", "b", "a", "b"])
    counts = TokenCounts(
        np.full(4, 40), np.zeros(4, np.int64), np.zeros(4, np.int64), np.ones(4, np.int64), 0
    )
    assert (
        "2.0 tokens per character"
        in only(findings({"train": rows}, {"train": counts}), "split_characters").message
    )


def test_truncation_names_labels_that_lose_more() -> None:
    texts, labels = distinct(400), ["long", *["short"] * 3] * 100
    cut = np.array([1, 0, 0, 0] * 100)
    for is_cut, is_named in ((cut, True), (np.roll(cut.repeat(2)[:400], 1), False)):
        counts = TokenCounts(
            np.full(400, 10), np.zeros(400, np.int64), is_cut, np.ones(400, np.int64), int(is_cut.sum())
        )
        found = only(findings({"train": split(texts, labels)}, {"train": counts}), "truncated")
        assert found.message.startswith(
            f"train: {is_cut.sum()} of 400 texts ({is_cut.mean():.1%}) are truncated"
        )
        assert ('far more of the label "long" (100.0%)' in found.message) == is_named


def test_findings_are_sorted_by_level_and_are_plain_json() -> None:
    counts = TokenCounts(np.full(63, 10), np.full(63, 9), np.zeros(63, np.int64), np.ones(63, np.int64), 0)
    found = findings({"train": split([*TEXTS, *TEXTS[:3]], [*LABELS, "b", "b", "c"])}, {"train": counts})
    assert [f.level for f in found] == ["error", "warning", "warning", "note"]
    for finding in found:
        assert json.loads(json.dumps(finding.to_json())) == finding.to_json()
        assert len(finding.rows) <= 10
    assert whole(split(["a"], ["b"])).num_truncated == 0


def test_tags_of_words_as_labels_of_texts_are_an_error() -> None:
    tags = ["O", "B-PER", "O", "I-PER"] * 15
    found = findings({"train": split(TEXTS, tags)})
    assert only(found, "word_tags").level == "error"
    assert "task.name=token_classification" in only(found, "word_tags").remedy
    for labels in (["O", "A", "B", "AB"] * 15, ["B-1", "B-2"] * 30):  # blood groups; codes without O
        assert not [f for f in findings({"train": split(TEXTS, labels)}) if f.kind == "word_tags"]
    assert not [
        f for f in findings({"train": split(TEXTS, tags)}, label_scope="part") if f.kind == "word_tags"
    ]
