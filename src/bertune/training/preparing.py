"""Data preparation in stages (`fit_task`, `split`, `encode`, after `read`), and the audit of the data."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

from bertune import gates
from bertune.audit.findings import Finding
from bertune.audit.statistics import longest_text
from bertune.audit.tokens import truncated
from bertune.config import Config
from bertune.data.columns import Columns
from bertune.data.memory import MEMORY
from bertune.encoder_config import read_encoder_config, refuse_missing_layers
from bertune.errors import ConfigError, DataError, counted
from bertune.hugging_face import load_config, most_tokens
from bertune.metadata import recorded_metadata
from bertune.metrics.calibration import MEASURES
from bertune.metrics.limitations import Limitation, limitation_texts, undefined_scores
from bertune.nn.pretrained import Pretrained, find_pretrained
from bertune.predict.deciding import refuse_unsuited
from bertune.source import Source
from bertune.tasks import FittedTask
from bertune.tasks.encoder import TextEncoder
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from bertune.training.auditing import audit_splits
from bertune.training.encoded import EncodedSplit, as_learned, sequences_of_rows
from bertune.training.reading import Tables, read
from bertune.training.selection import best_metric
from bertune.training.splitting import Splits
from bertune.training.splitting import split as split_tables

_AUTO_MAY_CUT = 0.02  # maximum fraction of texts that "auto" truncates; more needs a decision of the user


@dataclass(frozen=True)
class Fitted:
    """A task fitted to the training rows, with the tokenizer and the length limit of the encoder."""

    task: FittedTask
    tokenizer: Tokenizer
    pretrained: Pretrained
    limit: int  # maximum tokens of a text for the model
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs except the model, with notes and warnings about the data."""

    config: Config
    encoder: TextEncoder
    columns: Columns
    pretrained: Pretrained
    splits: Mapping[str, EncodedSplit]  # train, validation, and test if given
    audit: dict[str, Any]  # plain JSON: "data" and "max_length" of the manifest
    findings: tuple[Finding, ...]  # of the audit, the most serious first
    length_limit: int  # maximum tokens of a sequence for the encoder
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    undefined: frozenset[str] = frozenset()  # scores that are undefined on the validation split
    keep_outputs: bool = False  # whether the outputs of the model for the test split are stored
    divided: Splits | None = None  # the splits before they were encoded, with the tables they are from


def prepare(source: Source) -> Prepared:
    """Read, check and encode a source. Raises InputError; nothing is written."""
    tables = read(source)
    fitted = fit_task(tables)
    return encode(split_tables(tables), fitted)


def fit_task(tables: Tables) -> Fitted:
    """Fit the task to all rows of the training table, before splitting, so that folds share it.

    Raises ConfigError, DataError, and ModelError if the encoder is not found.
    """
    config = tables.config
    config.decide.refuse_contradictions()
    fitted = tables.task.fit(tables.examples["train"])
    refuse_unsuited(config.decide, fitted)
    if config.train.batch_size < fitted.least_batch_size:
        raise ConfigError(
            f"train.batch_size={config.train.batch_size} is too small: this loss uses in-batch negatives. "
            f"Set it to at least {fitted.least_batch_size}; larger batches usually give better results"
        )
    pretrained = find_pretrained(config.model.name)
    tokenizer = Tokenizer.pretrained(pretrained.folder)
    _refuse_freeze(config, pretrained)
    bound = fitted.bound(tokenizer)
    return Fitted(bound, tokenizer, pretrained, _limit(pretrained, tokenizer), fitted.notes)


def tokenize(tables: Tables, fitted: Fitted) -> dict[str, list[Sequence]]:
    """Tokenize all tables, for callers that encode several splits of them. Raises ModelError."""
    encoder = _encoder(tables.config, fitted)
    return {table: encoder(examples) for table, examples in tables.examples.items()}


def encode(
    splits: Splits, fitted: Fitted, tokenized: Mapping[str, SequenceOf[Sequence]] | None = None
) -> Prepared:
    """Encode and audit the splits. `tokenized` is the result of `tokenize`, if it was called before.

    Raises ConfigError, DataError, ModelError.
    """
    tables, task = splits.tables, fitted.task
    encoder = _encoder(tables.config, fitted)
    encoded = {}
    groups = splits.groups()
    for name, examples in splits.examples().items():
        table, rows = splits.rows[name]
        sequences = encoder(examples) if tokenized is None else sequences_of_rows(tokenized[table], rows)
        source = examples[0].origin.file
        if getattr(tables.config.data, table) != MEMORY:
            source = os.path.abspath(source)  # the run may be resumed from another folder
        encoded[name] = EncodedSplit(source, examples, sequences, groups[name])
    limitations = _limitations(encoded, task)
    selecting = best_metric(tables.config.train.best_metric, task)
    measures = MEASURES if task.calibration_kind is not None else ()
    known = (*task.task.scores, *task.task.extra_scores, *measures)
    gates.refuse_unknown(tables.config.gate.limits, known)
    why = _explained_length(tables.config, encoder, fitted.limit, encoded)
    columns = tables.columns
    data, findings = audit_splits(splits, encoded, encoder)
    for name, split in encoded.items():
        data["splits"][name] |= {"source": split.source, "sha256": fingerprint(split.examples)}
    if tables.dropped:
        data["dropped"] = dict(tables.dropped)
    data["split"] = dict(splits.record)
    data["columns"] = {"text": list(columns.text), "label": columns.label, "id": columns.id}
    encoded["train"] = as_learned(encoded["train"], task)
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
        findings=findings,
        length_limit=fitted.limit,
        notes=(*tables.notes, *fitted.notes, *splits.notes),
        warnings=(
            *tables.warnings,
            *splits.warnings,
            *_lines(findings),
            *_limitation_warnings(limitations, selecting),
        ),
        undefined=undefined_scores(limitations["validation"]),
        divided=splits,
    )


def _encoder(config: Config, fitted: Fitted) -> TextEncoder:
    """An encoder that truncates at the maximum length of settings and model, however short the texts are."""
    max_length = _most_tokens(config, fitted.task, fitted.limit)
    fitted.task.check_length(max_length)
    return TextEncoder(fitted.task, fitted.tokenizer, max_length)


def _refuse_freeze(config: Config, pretrained: Pretrained) -> None:
    """Raises ConfigError for more frozen layers than the encoder has, before it is loaded."""
    wanted = config.train.freeze
    encoder = read_encoder_config(pretrained.folder) or load_config(pretrained.folder)
    num_layers = getattr(encoder, "num_hidden_layers", None)
    if isinstance(wanted, int) and isinstance(num_layers, int):
        refuse_missing_layers(wanted, num_layers)


def _limit(pretrained: Pretrained, tokenizer: Tokenizer) -> int:
    folder = pretrained.folder
    config = read_encoder_config(folder) or load_config(folder)
    recorded = recorded_metadata(folder)
    # The maximum length in a tokenizer saved by bertune is the one used in training, not the encoder's.
    known = None if recorded is None else recorded.length_limit
    return most_tokens(config, tokenizer.max_length if known is None else known)


def _most_tokens(config: Config, fitted: FittedTask, limit: int) -> int:
    max_length = config.model.max_length
    if max_length == "auto":
        return min(limit, fitted.auto_length(limit))
    if int(max_length) > limit:
        raise ConfigError(
            f"model.max_length={max_length}: {config.model.name} takes at most {limit:,} tokens, the length "
            f"it was pretrained with. Set it to {limit} or less"
        )
    return int(max_length)


def _explained_length(
    config: Config, encode: TextEncoder, limit: int, encoded: Mapping[str, EncodedSplit]
) -> str:
    """Explain the maximum length of `encode`, and how many texts it truncates.

    The maximum does not depend on the longest training text, so that a trained model can read texts of any
    length that its encoder takes. Raises DataError if "auto" would truncate many texts.
    """
    most = encode.max_length
    lengths = [n for split in encoded.values() for n in split.untruncated_lengths()]
    max_length = config.model.max_length
    if max_length != "auto":
        cut = sum(n > int(max_length) for n in lengths)
        noun = "text" if len(lengths) == sum(len(s.examples) for s in encoded.values()) else "sequence"
        return f"as set; {truncated(cut, len(lengths), noun)}"
    origins = [split.examples[s.group].origin for split in encoded.values() for s in split.sequences]
    longest, where = longest_text(lengths, origins)
    default = f"the default of task.name={config.task.name}" if most < limit else "the maximum of the model"
    if longest <= most:
        return f"{default}; the longest text has {longest:,} tokens, so nothing is truncated"
    if most < limit:
        return f"{default}; longer texts are truncated"
    too_long = sum(n > limit for n in lengths)
    share = f"{too_long:,} of {counted(len(lengths), 'text')} ({too_long / len(lengths):.1%})"
    if too_long > _AUTO_MAY_CUT * len(lengths):
        raise DataError(
            f"{where}: this text has {longest:,} tokens, but the model takes at most {limit:,}. {share} are "
            f"too long, and model.max_length=auto truncates at most {_AUTO_MAY_CUT:.0%} of the texts. Set "
            f"model.max_length={limit} to truncate them, shorten the texts, or use a model for longer texts"
        )
    return f"{default}; {share} are longer and are truncated, the longest ({where}) from {longest:,} tokens"


def _limitations(encoded: Mapping[str, EncodedSplit], task: FittedTask) -> dict[str, list[Limitation]]:
    """Limitations of the scores on the evaluated splits. Raises DataError if one cannot be scored."""
    return {
        name: task.for_scoring(split.examples).limitations(split.examples, split.sequences)
        for name, split in encoded.items()
        if name != "train"
    }


def _limitation_warnings(limitations: Mapping[str, list[Limitation]], selecting: str) -> Iterator[str]:
    """A warning for each limitation; `selecting` is the metric that selects checkpoints."""
    for name, of_split in limitations.items():
        for text in limitation_texts(of_split, selecting if name == "validation" else None):
            yield f"{name}: {text}"


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    """One line for each error and warning."""
    return (finding.line() for finding in findings if finding.level != "note")


def fingerprint(examples: list[Any]) -> str:
    """The sha256 of texts and labels, independent of the file format."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(
            json.dumps([example.texts, example.gold], ensure_ascii=False).encode("utf-8", "surrogatepass")
        )
    return digest.hexdigest()
