"""Owns the way from a source to sequences: reading, parsing, splitting, tokenizing, auditing."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bertune.config import Config
from bertune.data import audit
from bertune.data.columns import Columns, choose_columns
from bertune.data.split import larger_than_asked, split_rows
from bertune.data.tables import Table, open_table
from bertune.errors import ConfigError, DataError
from bertune.nn.model import length_limit, read_config
from bertune.nn.pretrained import Pretrained, find_pretrained
from bertune.source import SPLITS, Source
from bertune.tasks import FittedTask, Task, make_task
from bertune.tasks.encoder import TextEncoder, known_column_names, read_examples
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

_AUTO_MAY_CUT = 0.02  # share of texts that "auto" truncates, saying so; more is for the user to decide
_NO_LIMIT = 100_000  # tokens; for architectures without a longest text


@dataclass(frozen=True)
class Part:
    """One split, encoded."""

    source: str
    examples: list[Any]
    sequences: list[Sequence]

    def whole_lengths(self) -> list[int]:
        """Tokens of each sequence before any were cut."""
        return [len(s) + s.num_removed for s in self.sequences]


@dataclass(frozen=True)
class Prepared:
    """Everything training needs but the model, and all that can be said before it starts."""

    config: Config
    encoder: TextEncoder
    columns: Columns
    pretrained: Pretrained
    parts: Mapping[str, Part]  # train, validation, and test where there is one
    audit: dict[str, Any]  # plain JSON: "data" and "max_length" of the manifest
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare(source: Source) -> Prepared:
    """Reads, checks and encodes a source. Raises the first InputError met; nothing is written."""
    config = source.config
    task = make_task(config.task)
    examples, columns, notes = _read_all(source, task)
    fitted = task.fit(examples["train"])
    too_large: str | None = None
    notes += fitted.notes
    if config.train.batch_size < fitted.least_batch_size:
        raise ConfigError(
            f"train.batch_size={config.train.batch_size}: here an example is learned by comparing it with "
            f"others of its step, so that needs at least {fitted.least_batch_size}, and better many"
        )
    pretrained = find_pretrained(config.model.name)
    tokenizer = Tokenizer.pretrained(pretrained.folder)
    fitted = fitted.bound(tokenizer)
    limit = _limit(pretrained, tokenizer)
    if "validation" not in examples:
        examples, note, too_large = _split_off(examples, task, config)
        notes.append(note)
    encode = TextEncoder(fitted, tokenizer, _most_tokens(config, fitted, limit))
    parts = {name: Part(part[0].origin.file, part, encode(part)) for name, part in examples.items()}
    for name, part in parts.items():
        if name != "train":
            fitted.for_scoring(part.examples)
    max_length, why = _choose_length(config, encode, limit, parts)
    data = _audit(parts, fitted, max_length)
    data["columns"] = {"text": list(columns.text), "label": columns.label, "id": columns.id}
    parts["train"] = _as_learned(parts["train"], fitted)
    return Prepared(
        config=config,
        encoder=replace(encode, max_length=max_length),
        columns=columns,
        pretrained=pretrained,
        parts=parts,
        audit={"data": data, "max_length": {"value": max_length, "why": why, "model_limit": limit}},
        notes=(*source.notes, *notes),
        warnings=(*([too_large] if too_large else []), *_warnings(data)),
    )


def _read_all(source: Source, task: Task) -> tuple[dict[str, list[Any]], Columns, list[str]]:
    config = source.config
    examples: dict[str, list[Any]] = {}
    chosen: Columns | None = None
    notes: list[str] = []
    for split in SPLITS:
        file = getattr(config.data, split)
        if file is None:
            continue
        table = source.tables.get(split) or open_table(file, config.data, known_column_names(task))
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
        if audit.all_numbers([e.texts for e in examples[split]]):
            raise DataError(
                f"{examples[split][0].origin}: every text is a number, as "
                f'"{examples[split][0].texts[0]}". Is data.text={",".join(columns.text)} the right column? '
                f"There are: {', '.join(table.columns)}"
            )
    assert chosen is not None, "a source always has training data"
    return examples, chosen, notes


def _refuse_number(columns: Columns, task: Task, config: Config, table: Table) -> None:
    if len(columns.text) not in task.columns.num_texts:
        takes = " or ".join(str(n) for n in task.columns.num_texts)
        raise DataError(
            f"{table.name}: task.name={config.task.name} takes {takes} text columns, and there are "
            f"{len(columns.text)}: {', '.join(columns.text)}. Say data.text=…"
        )


def _split_off(
    examples: dict[str, list[Any]], task: Task, config: Config
) -> tuple[dict[str, list[Any]], str, str | None]:
    """The splits with training rows as validation, a note on how they were chosen, and a warning where they
    are many more than asked for."""
    rows = examples["train"]
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
    parts = {"train": [rows[i] for i in kept], "validation": [rows[i] for i in held_out]}
    if "test" in examples:
        parts["test"] = examples["test"]
    return parts, note, larger_than_asked(len(rows), len(held_out), config.data.validation_fraction, strata)


def _limit(pretrained: Pretrained, tokenizer: Tokenizer) -> int:
    hf_config = read_config(pretrained)
    return min(length_limit(hf_config) or _NO_LIMIT, tokenizer.max_length)


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


def _choose_length(
    config: Config, encode: TextEncoder, limit: int, parts: Mapping[str, Part]
) -> tuple[int, str]:
    """The maximum length to go on with, and why; the parts were cut to the most there may be."""
    most = encode.max_length
    lengths = [n for part in parts.values() for n in part.whole_lengths()]
    wanted = config.model.max_length
    if wanted != "auto":
        cut = sum(n > int(wanted) for n in lengths)
        return int(
            wanted
        ), f"as set; {cut:,} of {len(lengths):,} texts ({cut / len(lengths):.1%}) are truncated"
    origins = [part.examples[s.group].origin for part in parts.values() for s in part.sequences]
    longest, where = audit.longest(lengths, origins)
    if longest <= most:
        return longest, f"the longest text has {longest:,} tokens; nothing is truncated"
    if most < limit:
        return most, f"what task.name={config.task.name} takes unless told; longer texts are cut there"
    too_long = sum(n > limit for n in lengths)
    share = f"{too_long:,} of {len(lengths):,} texts ({too_long / len(lengths):.1%})"
    if too_long > _AUTO_MAY_CUT * len(lengths):
        raise DataError(
            f"{where}: this text has {longest:,} tokens and the model takes {limit:,}; {share} are too "
            f"long, more than is cut without being asked. model.max_length={limit} cuts them there (and "
            "says so); or shorten the texts, or choose a model that takes longer ones"
        )
    return limit, (
        f"the most the model takes; {share} are longer and are truncated, the longest ({where}) from "
        f"{longest:,} tokens"
    )


def _as_learned(part: Part, fitted: FittedTask) -> Part:
    """The training part with an example, its first, for each group it is to learn from as one."""
    if fitted.windows_are_examples:
        owners = [part.examples[s.group] for s in part.sequences]
        return Part(part.source, owners, [replace(s, group=i) for i, s in enumerate(part.sequences)])
    together = fitted.group_training_examples(part.examples)
    if together is None:
        return part
    group = {position: number for number, positions in enumerate(together) for position in positions}
    sequences = [replace(s, group=group[s.group]) for s in part.sequences if s.group in group]
    return Part(part.source, [part.examples[positions[0]] for positions in together], sequences)


def _audit(parts: Mapping[str, Part], fitted: FittedTask, max_length: int) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for name, part in parts.items():
        texts = [e.texts for e in part.examples]
        names = Counter(name for e in part.examples for name in fitted.label_names(e))
        splits[name] = {
            "source": part.source,
            "sha256": _fingerprint(part.examples),
        } | audit.audit_split(texts, [e.gold for e in part.examples], names, part.whole_lengths(), max_length)
    shared = audit.shared_texts({name: [e.texts for e in part.examples] for name, part in parts.items()})
    return {"splits": splits, "shared_texts": shared}


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
    for pair, count in data["shared_texts"].items():
        first, second = pair.split("/")
        if count:
            warnings.append(
                f"{count:,} of the {second} texts are in {first} too, which flatters the {second} scores"
            )
    return warnings
