"""The audit of encoded splits: statistics for the manifest, and findings."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from bertune.audit.auditing import Subject, audit
from bertune.audit.copies import num_conflicts
from bertune.audit.duplicates import find_duplicates
from bertune.audit.findings import AuditedSplit, Finding
from bertune.audit.statistics import split_statistics
from bertune.audit.tokens import TokenCounts
from bertune.tasks import FittedTask
from bertune.tasks.encoder import TextEncoder
from bertune.text.tokenizer import Tokenizer
from bertune.training.encoded import EncodedSplit
from bertune.training.reading import Tables
from bertune.training.row_keys import RowKeys
from bertune.training.splitting import Splits


def audit_splits(
    splits: Splits, encoded: Mapping[str, EncodedSplit], encoder: TextEncoder
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """The statistics of all splits, as `data` of the manifest, and the findings."""
    tables, task, max_length = splits.tables, encoder.fitted, encoder.max_length
    audited = {name: _audited(split, task, tables, *splits.rows[name]) for name, split in encoded.items()}
    duplicates = find_duplicates({name: split.texts for name, split in audited.items()})
    tokens = {name: token_counts(split, encoder.tokenizer, max_length) for name, split in encoded.items()}
    subject = Subject(tables.columns.text, tables.config.model.name, task.task.noun, task.label_scope)
    findings = audit(audited, duplicates, tokens, subject)
    names = list(audited)
    statistics, shared = {}, {}
    for number, (name, split) in enumerate(audited.items()):
        labels = Counter(label for of_row in split.labels for label in of_row)
        own = duplicates.repeats(name, name)
        statistics[name] = split_statistics(
            len(split.texts), labels, encoded[name].untruncated_lengths(), max_length
        ) | {
            "duplicates": own.num_exact,
            "near_duplicates": own.num_near,
            "conflicting_duplicates": num_conflicts(split, split, own.exact),
        }
        for other in names[number + 1 :]:
            shared[f"{name}/{other}"] = duplicates.repeats(other, name).num_exact
    data = {"splits": statistics, "shared_texts": shared, "findings": [f.to_json() for f in findings]}
    return data, findings


def token_counts(split: EncodedSplit, tokenizer: Tokenizer, max_length: int) -> TokenCounts:
    """The tokens of each row of a split, after truncation and without special tokens."""
    num_rows, sequences = len(split.examples), split.sequences
    unknown_id = tokenizer.unknown_id
    kinds = np.zeros(tokenizer.num_ids, np.uint8)  # 0: a token of the text, 1: special, 2: unknown
    kinds[[number for number in tokenizer.special_ids if number < tokenizer.num_ids]] = 1
    if unknown_id is not None and unknown_id < tokenizer.num_ids:
        kinds[unknown_id] = 2
    lengths = np.array([len(s) for s in sequences], np.int64)
    groups = np.array([s.group for s in sequences], np.int64)
    kind = kinds[np.concatenate([s.ids for s in sequences])]
    starts = np.cumsum(lengths) - lengths
    special = np.add.reduceat(kind == 1, starts, dtype=np.int64)
    unknown = np.add.reduceat(kind == 2, starts, dtype=np.int64)
    is_cut = np.array([n > max_length for n in split.untruncated_lengths()])
    return TokenCounts(
        tokens=_summed(groups, lengths - special, num_rows),
        unknown=_summed(groups, unknown, num_rows),
        is_truncated=np.minimum(_summed(groups, is_cut, num_rows), 1),
        sequences=np.bincount(groups, minlength=num_rows),
        num_truncated=int(is_cut.sum()),
    )


def _summed(groups: Any, values: Any, num_rows: int) -> Any:
    return np.bincount(groups, values, num_rows).astype(np.int64)


def _audited(split: EncodedSplit, task: FittedTask, tables: Tables, table: str, rows: Any) -> AuditedSplit:
    examples = split.examples
    positions = np.asarray(rows)
    cells = tables.keys.get(table, RowKeys()).groups
    groups = [cells[row] for row in rows] if cells else [task.task.group_key(example) for example in examples]
    return AuditedSplit(
        texts=[example.texts for example in examples],
        gold=[example.gold for example in examples],
        labels=[task.label_names(example) for example in examples],
        origins=[example.origin for example in examples],
        groups=groups if any(group is not None for group in groups) else (),
        columns={name: values[positions] for name, values in tables.others.get(table, {}).items()},
    )
