"""Labels that a trivial cue predicts; ordinary words and columns do not count."""

import numpy as np
from findings_of import distinct, findings, only, split

from bertune.audit.findings import Finding

RANDOM = np.random.default_rng(5)
TEXTS = distinct(800)
LABELS = ["good" if draw else "bad" for draw in RANDOM.integers(0, 2, 800).tolist()]


def cues(found: list[Finding]) -> list[str]:
    return [finding.kind for finding in found if finding.kind.endswith("_cue")]


def with_word(word: str, share_good: float, share_bad: float) -> list[str]:
    share = {"good": share_good, "bad": share_bad}
    draws = RANDOM.random(len(TEXTS)).tolist()
    return [
        f"{text} {word}" if draw < share[label] else text
        for text, label, draw in zip(TEXTS, LABELS, draws, strict=True)
    ]


def test_a_word_that_predicts_the_label_is_named() -> None:
    texts = with_word("[Promo]", 0.9, 0.02)
    found = only(findings({"train": split(texts, LABELS)}), "word_cue")
    assert (found.level, found.count, found.total) == ("warning", 1, 2)
    assert '"good" by "promo"' in found.message
    (cue,) = found.values["cues"]
    assert cue["score"] > 0.9 and 0.45 < cue["constant"] < 0.6
    assert all("[Promo]" in row.text for row in found.rows)


def test_ordinary_words_do_not_count() -> None:
    assert cues(findings({"train": split(with_word("great", 0.35, 0.05), LABELS)})) == []
    assert cues(findings({"train": split(with_word("the", 0.95, 0.95), LABELS)})) == []


def test_a_word_is_named_with_its_column_and_for_several_labels() -> None:
    labels = [("x", "y") if i % 3 == 0 else ("y",) if i % 2 else ("z",) for i in range(800)]
    pairs = [
        (text, f"never {text}" if "x" in names else text[::-1])
        for text, names in zip(TEXTS, labels, strict=True)
    ]
    found = only(findings({"train": split(pairs, labels)}, columns=("premise", "hypothesis")), "word_cue")
    cue = found.values["cues"][0]
    assert (cue["cue"], cue["label"], cue["score"]) == ('"never" in hypothesis', "x", 1.0)


def test_the_length_counts_as_a_cue() -> None:
    texts = [text * 2 if label == "good" else text for text, label in zip(TEXTS, LABELS, strict=True)]
    assert cues(findings({"train": split(texts, LABELS)})) == ["length_cue"]
    grades = [
        len(text) / 10 + noise
        for text, noise in zip(TEXTS, RANDOM.normal(0, 0.02, 800).tolist(), strict=True)
    ]
    found = only(findings({"train": split(TEXTS, grades)}), "length_cue")
    assert "predicts the number: R² of 0." in found.message


def test_another_column_counts_as_a_cue_unless_it_renames_the_label() -> None:
    good = np.array([label == "good" for label in LABELS])
    source = np.where(RANDOM.random(800) < 0.9, good * 1, RANDOM.integers(0, 4, 800)).astype(np.int64)
    amount = good * 5.0 + RANDOM.normal(0, 1, 800)
    columns = {
        "source": source,
        "amount": amount,
        "code": good.astype(np.int64),
        "other": RANDOM.integers(0, 9, 800),
    }
    found = findings({"train": split(TEXTS, LABELS, columns=columns)})
    assert [f.message.split('"')[1] for f in found if f.kind == "column_cue"] == ["source", "amount"]
    renamed = only(found, "label_column_cue")
    assert renamed.level == "note" and '"code"' in renamed.message


def test_many_columns_of_chance_do_not_count() -> None:
    columns = {f"c{i}": RANDOM.integers(0, 150, 800) for i in range(40)}
    columns |= {f"n{i}": RANDOM.normal(0, 1, 800) for i in range(40)}
    assert cues(findings({"train": split(TEXTS, LABELS, columns=columns)})) == []
    assert (
        cues(findings({"train": split(TEXTS[:130], LABELS[:130], columns={"c": columns["c0"][:130] % 30})}))
        == []
    )


def test_words_that_name_one_of_many_labels_are_a_note() -> None:
    labels = [f"topic{i % 12}" for i in range(2400)]
    texts = [f"{text} {label}" for text, label in zip(distinct(2400, 1), labels, strict=True)]
    found = only(findings({"train": split(texts, labels)}), "word_cue")
    assert (found.level, found.count) == ("note", 12)


def test_labels_of_words_are_not_examined() -> None:
    texts = [f"{t} {'acme' if label == 'good' else 'w600'}" for t, label in zip(TEXTS, LABELS, strict=True)]
    assert cues(findings({"train": split(texts, LABELS)}, label_scope="part")) == []
    assert cues(findings({"train": split(texts, LABELS)})) == ["word_cue"]
