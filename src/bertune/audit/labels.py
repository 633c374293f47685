"""Findings about labels and text columns: rare and similar labels, constant columns, columns of IDs."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bertune.audit.findings import AuditedSplit, Finding, found_rows
from bertune.errors import counted, listed
from bertune.tasks.parts.label_names import look_alike_labels, look_alike_warnings, multi_hot_hint

_FEW = 10  # training examples below which a label can hardly be learned or evaluated
_LEAST_ROWS = 20  # a smaller file may have equal texts or codes by chance
# Tags of words inside and outside of entities: B-PER, PER_I; O.
_TAG = re.compile(r"[BIESLMU][-_:/.]\w+|\w+[-_:/.][BIESLMU]", re.IGNORECASE)
_OUTSIDE = frozenset("Oo")
# What pandas, databases and spreadsheets write for a missing value; None is often the name of a label.
_MISSING = frozenset(("nan", "null", "n/a", "#n/a", "<na>", "nat"))
_FLAG = re.compile(r"(.*\w)\s*[:=]\s*([01])")  # joy:0
_HALF = re.compile(r"[(\[{]\w|\w[)\]}]")  # matches (0 and 2), but not the emoticon :)
_REPEATED = 0.5  # share of the parts of joined labels that occur more than once
_CONSTANT = 0.9  # share of the most frequent text
_IDS = 0.9  # share of the texts that look like IDs, and of the distinct ones among them
# One ASCII word with a digit, such as user_0123, 2024-01-31 or a hexadecimal hash.
_ID = re.compile(r"(?=\S*\d)[\x21-\x7e]+")


def label_findings(splits: Mapping[str, AuditedSplit], has_names: bool, of_texts: bool) -> Iterator[Finding]:
    """Findings about the label names of all splits, and about labels that are rare in training.

    `has_names` says that labels are names, not numbers to predict or positions of choices; `of_texts`, that
    they describe whole texts.
    """
    counts = {name: Counter(x for names in split.labels for x in names) for name, split in splits.items()}
    total = sum(counts.values(), Counter[str]())
    for warning in look_alike_warnings(total):
        message, _, remedy = warning.rpartition(". ")
        alike = {label for group in look_alike_labels(total) for label in group}
        yield Finding("similar_labels", "warning", message, remedy, len(alike), len(total))
    missing = [label for label in counts["train"] if label.casefold() in _MISSING or label == "NA"]
    if missing and has_names:
        yield _missing(splits["train"], missing)
    vectors = multi_hot_hint(counts["train"]) if has_names and of_texts else ""
    if vectors and all(len(names) == 1 for names in splits["train"].labels):
        num, names = len(counts["train"]), listed(sorted(counts["train"]))
        yield Finding(
            "multi_hot_labels",
            "warning",
            f"train: the {counted(num, 'label name')} are strings of 0 and 1: {names}",
            vectors[:1].upper() + vectors[1:],
            num,
            num,
            "train",
        )
    if has_names and of_texts:
        yield from _unsplit(counts["train"])
        yield from _notation(counts["train"], any(len(names) > 1 for names in splits["train"].labels))
    tags = [label for label in counts["train"] if _TAG.fullmatch(label)]
    if of_texts and tags and not _OUTSIDE.isdisjoint(counts["train"]):
        yield _tags(splits["train"], tags)
    few = {label: count for label, count in counts["train"].items() if count < _FEW}
    if few and has_names:
        yield _few(splits["train"], few, len(counts["train"]))


def _unsplit(counts: Counter[str]) -> Iterator[Finding]:
    """Label names that seem to hold several labels, because most of their parts occur in other names, too."""
    for sign in ";|、，,":
        parted = {label: [part.strip() for part in label.split(sign)] for label in counts if sign in label}
        joined = [label for label, parts in parted.items() if all(parts)]
        numbers = Counter(part for label in joined for part in parted[label])
        repeated = sum(number > 1 or part in counts for part, number in numbers.items())
        if len(joined) < 2 or repeated < _REPEATED * len(numbers):
            continue
        yield Finding(
            "joined_labels",
            "warning",
            f'train: {len(joined):,} of {counted(len(counts), "label name")} contain "{sign}", such as '
            f'"{joined[0][:60]}"',
            f'If they are several labels, set task.name=multilabel "task.separator={sign}"; currently, '
            "each of them is one label",
            len(joined),
            len(counts),
            "train",
        )
        return


def _notation(counts: Counter[str], has_several: bool) -> Iterator[Finding]:
    """Label names that seem to be parts of cells in an unsupported notation: (0, or joy:0 and joy:1.

    `has_several` says that some texts have several labels.
    """
    flags = [match for label in counts if (match := _FLAG.fullmatch(label))]
    values = Counter(match[1] for match in flags)
    both = min((name for name, number in values.items() if number > 1), default="")
    halves = [label for label in counts if _HALF.search(label) and not _balanced(label)]
    if has_several and both and len(flags) == len(counts):
        example = next(match[0] for match in flags if match[1] == both)
        remedy = f'as an object, {{"{both}": 1, …}}, or list only the labels that apply'
    elif len(halves) > 1 and 2 * len(halves) >= len(counts):
        example, remedy = halves[0], 'as a list of names, ["joy", "fear"], or as a vector, [0, 1]'
    else:
        return
    yield Finding(
        "label_notation",
        "warning",
        f'train: label names such as "{example[:60]}" seem to be parts of cells in an unsupported notation',
        f"Write each cell {remedy}; currently, each part is one label",
        len(flags if flags else halves),
        len(counts),
        "train",
    )


def _balanced(label: str) -> bool:
    return all(label.count(opening) == label.count(closing) for opening, closing in ("()", "[]", "{}"))


def _missing(train: AuditedSplit, missing: Sequence[str]) -> Finding:
    rows = [row for row, names in enumerate(train.labels) if set(missing) & set(names)]
    names = " or ".join(f'"{label}"' for label in missing)
    return Finding(
        "missing_labels",
        "warning",
        f"train: {counted(len(rows), 'row')} labelled {names}, which often stands for a missing value",
        "If the labels are missing, remove these rows; currently, bertune reads these values as labels",
        len(rows),
        len(train.labels),
        "train",
        found_rows(train, rows, {}),
    )


def _tags(train: AuditedSplit, tags: Sequence[str]) -> Finding:
    rows = [row for row, names in enumerate(train.labels) if not {*tags, *_OUTSIDE}.isdisjoint(names)]
    return Finding(
        "word_tags",
        "error",
        f"train: the labels look like tags of words: {', '.join(sorted(tags)[:3])} and O",
        "To find entities, set task.name=token_classification, with one text per row or a column of sentence "
        "numbers; currently, each row is a separate text",
        len(rows),
        len(train.labels),
        "train",
        found_rows(train, rows, {}),
    )


def _few(train: AuditedSplit, few: dict[str, int], total: int) -> Finding:
    rarest = sorted(few, key=few.__getitem__)
    shown = ", ".join(f'"{label}" ({few[label]:,})' for label in rarest[:5])
    more = f" and {len(rarest) - 5:,} more" if len(rarest) > 5 else ""
    have = "has" if len(few) == 1 else "have"
    rows = (row for row, names in enumerate(train.labels) if few.keys() & set(names))
    return Finding(
        "rare_labels",
        "warning",
        f"train: {len(few):,} of {counted(total, 'label')} {have} fewer than {_FEW} examples, too few to "
        f"learn: {shown}{more}",
        "Add rows, or merge or remove these labels",
        len(few),
        total,
        "train",
        found_rows(train, rows, {}),
        {"counts": {label: few[label] for label in rarest[:50]}},
    )


def column_findings(train: AuditedSplit, columns: Sequence[str]) -> Iterator[Finding]:
    """Training text columns that nearly always hold the same text, or hold IDs instead of texts."""
    num = len(train.texts)
    if num < _LEAST_ROWS:
        return
    for at, column in enumerate(columns):
        texts = [row[at] for row in train.texts if at < len(row)]
        counts = Counter(texts)
        text, most = counts.most_common(1)[0]
        if most >= _CONSTANT * num:
            yield Finding(
                "constant_column",
                "error" if len(columns) == 1 else "warning",
                f'train: the text column "{column}" holds the same text in {most:,} of {num:,} rows: '
                f'"{text[:60]}"',
                "Check that data.text names the right columns",
                most,
                num,
                "train",
                found_rows(train, (row for row, x in enumerate(texts) if x == text), {}),
                {"column": column},
            )
            continue
        ids = [row for row, x in enumerate(texts) if _ID.fullmatch(x.strip())]
        if len(ids) >= _IDS * num and len({texts[row] for row in ids}) >= _IDS * len(ids):
            yield Finding(
                "id_column",
                "error" if len(columns) == 1 else "warning",
                f'train: the text column "{column}" seems to hold IDs instead of texts, such as '
                f'"{texts[ids[0]][:60]}"',
                "Check that data.text names the right columns",
                len(ids),
                num,
                "train",
                found_rows(train, ids, {}),
                {"column": column},
            )
