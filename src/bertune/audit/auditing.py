"""The audit: all findings about the splits of a data set. The only place that produces findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bertune.audit.copies import copies
from bertune.audit.cues import cue_findings
from bertune.audit.duplicates import Duplicates
from bertune.audit.findings import AuditedSplit, Finding, sorted_by_level
from bertune.audit.labels import column_findings, label_findings
from bertune.audit.tokens import TokenCounts, token_findings


@dataclass(frozen=True)
class Subject:
    """Properties of the task and the model, which select the findings and appear in messages."""

    columns: Sequence[str]  # the names of the text columns
    model: str  # the name of the encoder
    noun: str = "text"  # what a row is called, such as "text" or "question"
    # What a label describes: the whole text, a part of it, or the position of a choice.
    label_scope: Literal["text", "part", "position"] = "text"


def audit(
    splits: Mapping[str, AuditedSplit],
    duplicates: Duplicates,
    tokens: Mapping[str, TokenCounts],
    subject: Subject,
) -> tuple[Finding, ...]:
    """All findings about the splits, train first, the most serious first.

    `duplicates` is the result of `find_duplicates` on the texts of these splits.
    """
    train = splits["train"]
    is_numeric = any(isinstance(gold, float) for gold in train.gold)
    findings = [
        finding
        for name, split in splits.items()
        for finding in token_findings(name, split, tokens[name], subject.model)
    ]
    findings += copies(splits, duplicates, subject.noun)
    has_names = not is_numeric and subject.label_scope != "position"
    findings += label_findings(splits, has_names, of_texts=subject.label_scope == "text")
    findings += column_findings(train, subject.columns)
    if subject.label_scope == "text":
        findings += cue_findings(train, duplicates, subject.columns, subject.noun)
    return sorted_by_level(findings)
