"""From a source to sequences: `read`, `split` and `encode`, each with a value, and the audit of the data."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any

from bertune.config import Config
from bertune.data import audit
from bertune.data.columns import Columns, choose_columns
from bertune.data.formats import file_suffix
from bertune.data.split import larger_than_asked, split_rows
from bertune.data.tables import Table, open_table
from bertune.encoder_config import read_encoder_config
from bertune.errors import ConfigError, DataError
from bertune.hugging_face import load_config, most_tokens
from bertune.metadata import recorded_metadata
from bertune.metrics.limitations import limitation_texts
from bertune.nn.pretrained import Pretrained, find_pretrained
from bertune.source import SPLITS, Source
from bertune.tasks import FittedTask, Task, make_task
from bertune.tasks.encoder import TextEncoder, known_column_names, read_examples
from bertune.tasks.parts.label_names import look_alike_warnings
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from bertune.training.selection import best_metric

_AUTO_MAY_CUT = 0.02  # share of texts that "auto" truncates, saying so; more is for the user to decide


@dataclass(frozen=True)
class Tables:
    """The examples of a source as its tables have them. Nothing here holds weights or an open file."""

    config: Config
    task: Task
    columns: Columns  # of the first table
    examples: Mapping[str, list[Any]]  # by table: train, and validation and test where there are such
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """Which rows of which table are trained and evaluated on. Folds are several splits of the same tables."""

    tables: Tables
    rows: Mapping[str, tuple[str, SequenceOf[int]]]  # train, validation, and test where there is one
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def examples(self) -> dict[str, list[Any]]:
        """The examples of each split, in the order of its rows."""
        found = self.tables.examples
        return {split: [found[table][i] for i in rows] for split, (table, rows) in self.rows.items()}


@dataclass(frozen=True)
class Fitted:
    """A task fitted to the training rows, with the tokenizer and the length limit of the encoder."""

    task: FittedTask
    tokenizer: Tokenizer
    pretrained: Pretrained
    limit: int  # the most tokens of a text that the model takes
    notes: tuple[str, ...]


@dataclass(frozen=True)
class EncodedSplit:
    """One split, encoded."""

    source: str
    examples: list[Any]
    sequences: list[Sequence]

    def untruncated_lengths(self) -> list[int]:
        """Tokens of each sequence before any were cut."""
        return [len(s) + s.num_removed for s in self.sequences]


@dataclass(frozen=True)
class Prepared:
    """Everything training needs but the model, and all that can be said before it starts."""

    config: Config
    encoder: TextEncoder
    columns: Columns
    pretrained: Pretrained
    splits: Mapping[str, EncodedSplit]  # train, validation, and test where there is one
    audit: dict[str, Any]  # plain JSON: "data" and "max_length" of the manifest
    length_limit: int  # the most tokens of a sequence that the encoder takes
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare(source: Source) -> Prepared:
    """Reads, checks and encodes a source. Raises the first InputError met; nothing is written."""
    tables = read(source)
    fitted = fit_task(tables)
    return encode(split(tables), fitted)


def read(source: Source) -> Tables:
    """The examples of all tables of a source. Raises ConfigError, DataError."""
    task = make_task(source.config.task)
    best_metric(source.config.train.best_metric, task.fitted())  # refused before any file is read
    examples, task, columns, notes = _read_all(source, task)
    return Tables(source.config, task, columns, examples, (*source.notes, *notes))


def fit_task(tables: Tables) -> Fitted:
    """The task fitted to all rows of the training table, before any are split off: folds share it.

    Raises ConfigError, DataError, and ModelError where there is no such encoder.
    """
    config = tables.config
    fitted = tables.task.fit(tables.examples["train"])
    if config.train.batch_size < fitted.least_batch_size:
        raise ConfigError(
            f"train.batch_size={config.train.batch_size}: this loss uses in-batch negatives: the batch size "
            f"must be at least {fitted.least_batch_size}, and larger is better"
        )
    pretrained = find_pretrained(config.model.name)
    tokenizer = Tokenizer.pretrained(pretrained.folder)
    bound = fitted.bound(tokenizer)
    return Fitted(bound, tokenizer, pretrained, _limit(pretrained, tokenizer), fitted.notes)


def split(tables: Tables) -> Splits:
    """The tables as splits. Without a validation table, training rows are split off. Raises DataError."""
    rows = {table: (table, range(len(examples))) for table, examples in tables.examples.items()}
    return Splits(tables, rows) if "validation" in rows else _split_off(tables)


def tokenize(tables: Tables, fitted: Fitted) -> dict[str, list[Sequence]]:
    """The sequences of all tables, for callers that encode several splits of them. Raises ModelError."""
    encoder = _encoder(tables.config, fitted)
    return {table: encoder(examples) for table, examples in tables.examples.items()}


def encode(
    splits: Splits, fitted: Fitted, tokenized: Mapping[str, SequenceOf[Sequence]] | None = None
) -> Prepared:
    """The splits as sequences, audited; `tokenized` is what `tokenize` gave, else they are tokenized here.

    Raises ConfigError, DataError, ModelError.
    """
    tables, task = splits.tables, fitted.task
    encoder = _encoder(tables.config, fitted)
    encoded = {}
    for name, examples in splits.examples().items():
        if tokenized is None:
            sequences = encoder(examples)
        else:
            table, rows = splits.rows[name]
            sequences = _of_rows(tokenized[table], rows)
        encoded[name] = EncodedSplit(examples[0].origin.file, examples, sequences)
    limitations = _limitations(encoded, task, best_metric(tables.config.train.best_metric, task))
    why = _explained_length(tables.config, encoder, fitted.limit, encoded)
    columns = tables.columns
    data = _audit(encoded, task, encoder.max_length)
    data["columns"] = {"text": list(columns.text), "label": columns.label, "id": columns.id}
    encoded["train"] = _as_learned(encoded["train"], task)
    return Prepared(
        config=tables.config,
        encoder=encoder,
        columns=columns,
        pretrained=fitted.pretrained,
        splits=encoded,
        audit={
            "data": data,
            "max_length": {"value": encoder.max_length, "why": why, "model_limit": fitted.limit},
        },
        length_limit=fitted.limit,
        notes=(*tables.notes, *fitted.notes, *splits.notes),
        warnings=(*splits.warnings, *_warnings(data), *limitations),
    )


def _encoder(config: Config, fitted: Fitted) -> TextEncoder:
    """Cuts texts to the most tokens that the settings and the encoder allow, however short the texts are."""
    return TextEncoder(fitted.task, fitted.tokenizer, _most_tokens(config, fitted.task, fitted.limit))


def _of_rows(sequences: SequenceOf[Sequence], rows: SequenceOf[int]) -> list[Sequence]:
    """The sequences of some examples of a table, numbered as these examples are."""
    of_example: dict[int, list[Sequence]] = {}
    for sequence in sequences:
        of_example.setdefault(sequence.group, []).append(sequence)
    return [replace(s, group=group) for group, row in enumerate(rows) for s in of_example.get(row, [])]


def _read_all(source: Source, task: Task) -> tuple[dict[str, list[Any]], Task, Columns, list[str]]:
    config = source.config
    examples: dict[str, list[Any]] = {}
    chosen: Columns | None = None
    notes: list[str] = []
    for split in SPLITS:
        file = getattr(config.data, split)
        if file is None:
            continue
        table = source.tables.get(split) or open_table(
            file, config.data, known_column_names(task), like=file_suffix(config.data.train or "")
        )
        table = task.grouped(table, config.data.text, config.data.label, required=True)
        columns, new = choose_columns(
            table, config.data, task.columns.text, task.columns.label, need_label=task.needs_label
        )
        notes += [note for note in (*table.notes, *new) if note not in notes]
        _refuse_number(columns, task, config, table)
        chosen = chosen or columns
        # Where each text is a sequence by itself, triplets may be learned and pairs with a score validated.
        if len(columns.text) != len(chosen.text) and not task.predicts_single_texts:
            raise DataError(
                f"{table.name}: its text is {' and '.join(columns.text)}, but that of the training file is "
                f"{' and '.join(chosen.text)}: single texts and pairs do not go together. Say data.text=…"
            )
        examples[split] = read_examples(
            table, task, columns, config.train.max_examples if split == "train" else None
        )
        if not examples[split]:
            raise DataError(f"{table.name}: there are no rows in it")
        if split == "train":
            task = task.informed(examples[split])
        if audit.all_numbers([e.texts for e in examples[split]]):
            raise DataError(
                f"{examples[split][0].origin}: every text is a number, as "
                f'"{examples[split][0].texts[0]}". Is data.text={",".join(columns.text)} the right column? '
                f"There are: {', '.join(table.columns)}"
            )
    assert chosen is not None, "a source always has training data"
    return examples, task, chosen, notes


def _refuse_number(columns: Columns, task: Task, config: Config, table: Table) -> None:
    if len(columns.text) not in task.columns.num_texts:
        takes = " or ".join(str(n) for n in task.columns.num_texts)
        raise DataError(
            f"{table.name}: task.name={config.task.name} takes {takes} text columns, and there are "
            f"{len(columns.text)}: {', '.join(columns.text)}. Say data.text=…"
        )


def _split_off(tables: Tables) -> Splits:
    """Training rows as validation, a note on how they were chosen, a warning where they are far too many."""
    config, task, rows = tables.config, tables.task, tables.examples["train"]
    units, strata = [task.group_key(e) for e in rows], [task.stratify_key(e) for e in rows]
    kept, held_out = split_rows(
        units, strata, [e.origin for e in rows], config.data.validation_fraction, config.train.seed
    )
    how = "stratified by label" if any(s is not None for s in strata) else "at random"
    how += ", whole groups" if any(u is not None for u in units) else ""
    note = (
        f"validation: {len(held_out):,} of {len(rows):,} training rows, {how} "
        f"(data.validation_fraction={config.data.validation_fraction:g}, train.seed={config.train.seed})"
    )
    chosen: dict[str, tuple[str, SequenceOf[int]]] = {
        "train": ("train", kept),
        "validation": ("train", held_out),
    }
    if "test" in tables.examples:
        chosen["test"] = ("test", range(len(tables.examples["test"])))
    too_large = larger_than_asked(len(rows), len(held_out), config.data.validation_fraction, strata)
    return Splits(tables, chosen, (note,), (too_large,) if too_large else ())


def _limit(pretrained: Pretrained, tokenizer: Tokenizer) -> int:
    folder = pretrained.folder
    config = read_encoder_config(folder) or load_config(folder)
    recorded = recorded_metadata(folder)
    # A tokenizer that bertune saved has the length of the last training, which limits no further one.
    known = None if recorded is None else recorded.length_limit
    return most_tokens(config, tokenizer.max_length if known is None else known)


def _most_tokens(config: Config, fitted: FittedTask, limit: int) -> int:
    wanted = config.model.max_length
    if wanted == "auto":
        return min(limit, fitted.auto_length(limit))
    if int(wanted) > limit:
        raise ConfigError(
            f"model.max_length={wanted}: {config.model.name} takes at most {limit:,} tokens, because it was "
            f"trained up to that length; give {limit} or less"
        )
    return int(wanted)


def _explained_length(
    config: Config, encode: TextEncoder, limit: int, encoded: Mapping[str, EncodedSplit]
) -> str:
    """Why `encode` allows as many tokens as it does, and what that truncates in these splits.

    The length is never that of the longest training text: a trained model reads all that its encoder takes.
    Raises DataError where "auto" would truncate many texts.
    """
    most = encode.max_length
    lengths = [n for split in encoded.values() for n in split.untruncated_lengths()]
    wanted = config.model.max_length
    if wanted != "auto":
        cut = sum(n > int(wanted) for n in lengths)
        return f"as set; {cut:,} of {len(lengths):,} texts ({cut / len(lengths):.1%}) are truncated"
    origins = [split.examples[s.group].origin for split in encoded.values() for s in split.sequences]
    longest, where = audit.longest(lengths, origins)
    default = f"the default of task.name={config.task.name}" if most < limit else "all that the model takes"
    if longest <= most:
        return f"{default}; the longest text has {longest:,} tokens, so nothing is truncated"
    if most < limit:
        return f"{default}; longer texts are truncated"
    too_long = sum(n > limit for n in lengths)
    share = f"{too_long:,} of {len(lengths):,} texts ({too_long / len(lengths):.1%})"
    if too_long > _AUTO_MAY_CUT * len(lengths):
        raise DataError(
            f"{where}: this text has {longest:,} tokens and the model takes {limit:,}; {share} are too "
            f"long, more than is cut without being asked. model.max_length={limit} cuts them there (and "
            "says so); or shorten the texts, or choose a model that takes longer ones"
        )
    return f"{default}; {share} are longer and are truncated, the longest ({where}) from {longest:,} tokens"


def _as_learned(split: EncodedSplit, fitted: FittedTask) -> EncodedSplit:
    """The training split regrouped so that each group counts as one example."""
    if fitted.windows_are_examples:
        owners = [split.examples[s.group] for s in split.sequences]
        numbered = [replace(s, group=i) for i, s in enumerate(split.sequences)]
        return EncodedSplit(split.source, owners, numbered)
    together = fitted.group_training_examples(split.examples)
    if together is None:
        return split
    group = {position: number for number, positions in enumerate(together) for position in positions}
    sequences = [replace(s, group=group[s.group]) for s in split.sequences if s.group in group]
    return EncodedSplit(split.source, [split.examples[positions[0]] for positions in together], sequences)


def _audit(encoded: Mapping[str, EncodedSplit], fitted: FittedTask, max_length: int) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for name, split in encoded.items():
        texts = [e.texts for e in split.examples]
        names = Counter(name for e in split.examples for name in fitted.label_names(e))
        splits[name] = {
            "source": split.source,
            "sha256": _fingerprint(split.examples),
        } | audit.audit_split(
            texts, [e.gold for e in split.examples], names, split.untruncated_lengths(), max_length
        )
    shared = audit.shared_texts({name: [e.texts for e in split.examples] for name, split in encoded.items()})
    return {"splits": splits, "shared_texts": shared}


def _limitations(encoded: Mapping[str, EncodedSplit], task: FittedTask, selecting: str) -> list[str]:
    """What the evaluated splits cannot show of any model; `selecting` is the score that selects checkpoints.

    Raises DataError for a split that cannot be scored.
    """
    found = []
    for name, split in encoded.items():
        if name != "train":
            scored = task.for_scoring(split.examples)
            limitations = scored.limitations(split.examples, split.sequences)
            texts = limitation_texts(limitations, selecting if name == "validation" else None)
            found += [f"{name}: {text}" for text in texts]
    return found


def _fingerprint(examples: list[Any]) -> str:
    """sha256 of what is learned from, whatever file or table it came in."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(
            json.dumps([example.texts, example.gold], ensure_ascii=False).encode("utf-8", "surrogatepass")
        )
    return digest.hexdigest()


def _warnings(data: dict[str, Any]) -> list[str]:
    warnings = []
    for name, split in data["splits"].items():
        if split["truncated"]:
            share = split["truncated"] / split["sequences"]
            warnings.append(
                f"{name}: {split['truncated']:,} of {split['sequences']:,} texts ({share:.1%}) are truncated"
            )
        if split["conflicting_duplicates"]:
            warnings.append(
                f"{name}: {split['conflicting_duplicates']:,} rows repeat an earlier text with another label"
            )
    counts: Counter[str] = Counter()
    for split in data["splits"].values():
        counts.update(split["labels"])
    warnings += look_alike_warnings(counts)
    for pair, count in data["shared_texts"].items():
        first, second = pair.split("/")
        if count:
            warnings.append(
                f"{count:,} of the {second} texts are in {first} too, which flatters the {second} scores"
            )
    return warnings
