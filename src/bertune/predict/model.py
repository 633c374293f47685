"""The public class: a trained model that predicts texts and files, and is scored on labelled ones."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from bertune.config import CHANGEABLE, DataConfig, TaskConfig, resolve
from bertune.data.columns import Columns
from bertune.data.rows import Row
from bertune.errors import ConfigError, DataError, InputError, did_you_mean, listed
from bertune.files import refuse_unusable
from bertune.metadata import FILE as METADATA
from bertune.metadata import ModelMetadata
from bertune.predict.backend import Backend
from bertune.predict.inputs import Inputs, Opened
from bertune.predict.predictor import STREAM_CHUNK, Decode, PredictionOutput, Predictor, chunks, plain
from bertune.predict.writers import (
    SUFFIXES,
    VECTORS,
    Line,
    is_same_file,
    of_labels,
    prediction_lines,
    refuse_out,
    row_line,
    suffix_of,
    write_file,
    write_further,
    write_text,
)
from bertune.run import MANIFEST, Run
from bertune.tasks import FittedTask, make_task
from bertune.tasks.encoder import TextEncoder, read_examples


@dataclass(frozen=True)
class Evaluation:
    """How a model scores on labelled data."""

    scores: dict[str, float | None]
    details: dict[str, Any]  # per class, confusion matrix, by batch; plain JSON
    num_examples: int
    num_truncated: int
    loss: float | None
    lines: list[dict[str, Any]]  # one per example, as in the predictions folder of a run
    files: dict[str, list[str]] = field(repr=False)  # lines of further files there, by suffix
    noun: str = "text"  # what an example is called
    notes: tuple[str, ...] = ()  # which file was read, and what was inferred about its columns


@dataclass(frozen=True)
class WrittenPredictions:
    """What `Model.predict_file` wrote."""

    rows: int
    blank: int  # rows without text, which have no prediction
    truncated: int  # texts longer than the model takes


@dataclass(frozen=True)
class _Chunk:
    """Some consecutive rows with their predictions, None for each row without text."""

    rows: list[Row]
    predictions: list[Any]
    num_truncated: int


class Model:
    """A trained model, ready to predict. Made by `bertune.load`.

    Nothing about it changes after that: threads may share it, and it can be pickled.
    """

    labels: tuple[str, ...]  # the names of the outputs, in their order; empty where they have none

    def __init__(
        self, metadata: ModelMetadata, encoder: TextEncoder, backend: Backend, data: DataConfig | None = None
    ) -> None:
        self.labels = encoder.fitted.labels
        self._encoder = encoder
        self._predictor = Predictor(encoder.fitted, backend)
        self._inputs = Inputs(encoder.fitted.task, metadata, data or DataConfig())

    def predict(self, texts: Any) -> list[Any]:
        """One prediction per text, or per tuple of texts where the model takes several, in order.

        A list of words is a text where the task tags words. A pathlib.Path, a table or a list of dicts gives
        a prediction for each row. It is None for a row without text. Raises DataError.
        """
        return self._predict("predict", texts)

    def predict_proba(self, texts: Any) -> NDArray[np.float64]:
        """The probability of every label, [N, C] in the order of `labels`, for what `predict` takes.

        NaN for a row without text. Raises ConfigError where a task has no probabilities of labels.
        """
        fitted = self._encoder.fitted
        if not fitted.has_probabilities:
            raise ConfigError(
                f"predict_proba needs a task that gives a probability to each label, such as classification; "
                f"this model was trained for {self._inputs.metadata.task.name}. Use predict"
            )
        blank = np.full(len(self.labels), np.nan)
        found = self._predict("predict_proba", texts, fitted.decode_probabilities)
        return np.array([blank if p is None else p for p in found], np.float64).reshape(-1, len(blank))

    def encode(self, texts: Any) -> NDArray[np.float32]:
        """The vector of every text, [N, H], for what `predict` takes.

        NaN for a row without text. Raises ConfigError where a task has no vectors of texts, and for rows of
        several texts.
        """
        fitted = self._encoder.fitted
        if not fitted.has_vectors:
            raise ConfigError(
                f"encode needs a model of embeddings; this one was trained for "
                f"{self._inputs.metadata.task.name}. Use predict"
            )
        found = self._predict("encode", texts, fitted.decode_vector)
        size = next((len(v) for v in found if v is not None), 0)
        blank = np.full(size, np.nan, np.float32)
        return np.array([blank if v is None else v for v in found], np.float32).reshape(len(found), size)

    def evaluate(self, data: object, out: str | Path | None = None) -> Evaluation:
        """Scores on a labelled file, named data set or table, or on (texts, labels).

        `out` is a new file for what is predicted of each example: .jsonl, .csv, .parquet, or a format of the
        task. Raises DataError for rows that cannot be scored.
        """
        path = None if out is None else Path(out)
        task = self._encoder.fitted.task
        if path is not None:
            refuse_out(path, (*SUFFIXES, *task.extra_suffixes))
        opened = self._inputs.open(data, need_label=True)
        if path is not None and os.path.lexists(path):
            what = "is the data file itself" if is_same_file(path, opened.table.name) else "already exists"
            raise ConfigError(f"{path} {what}; evaluate does not overwrite files. Give another name")
        examples = read_examples(opened.table, task, opened.columns)
        fitted = self._encoder.fitted.for_scoring(examples)
        output, num_truncated = self._run(examples, fitted)
        scores = fitted.score(output.predictions, examples)
        files = fitted.extra_prediction_files(examples, output.predictions)
        found = Evaluation(
            scores=scores.values,
            details=scores.details,
            num_examples=len(examples),
            num_truncated=num_truncated,
            loss=output.loss,
            lines=list(prediction_lines(examples, output.predictions)),
            files={suffix: list(lines) for suffix, lines in files.items()},
            noun=str(task.noun),
            notes=opened.notes,
        )
        if path is not None:
            self._write_evaluation(found, path)
        return found

    def predict_file(
        self,
        data: object,
        out: str | Path | TextIO,
        csv: bool = False,
        *,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> WrittenPredictions:
        """Writes every row of a file, named data set or table with its prediction, and says how many.

        The name of `out` says the format: .jsonl, .csv, .parquet, .npy for vectors alone, or a format of the
        task. `data` and `out` may be open text files too; the format is then JSON lines, or CSV with `csv`.
        The rows' own columns are kept. `on_note` gets which file is read and what was inferred about its
        columns. Raises InputError; the file is written whole or not at all.
        """
        task = self._encoder.fitted.task
        path = Path(out) if isinstance(out, str | Path) else None
        if path is not None:
            known = (*SUFFIXES, VECTORS, *task.extra_suffixes)
            suffix = suffix_of(path)
            if csv and suffix in known and suffix != "csv":
                raise ConfigError(f"{path}: its name ends in .{suffix}, and --csv says CSV. Drop one")
            refuse_out(path, (*known, suffix) if csv else known)
        opened = self._inputs.open(data, need_label=False)
        if path is not None and is_same_file(path, opened.table.name):
            raise ConfigError(
                f"{path} is the input file, and predict does not overwrite it. Give another name"
            )
        for note in opened.notes:
            on_note(note)
        counts: Counter[str] = Counter()
        if path is None:
            assert not isinstance(out, str | Path)
            write_text(self._lines(opened, counts), out, csv)
        elif suffix_of(path) in task.extra_suffixes:
            write_further(self._further_lines(opened, suffix_of(path), counts), path)
        else:
            write_file(self._lines(opened, counts), path, csv)
        return WrittenPredictions(counts["rows"], counts["blank"], counts["truncated"])

    def _predict(self, method: str, data: Any, decode: Decode | None = None) -> list[Any]:
        """What `decode` makes of each text or row, in order; None for a row without text."""
        if isinstance(data, str):
            raise DataError(
                f'{method} takes a list of texts; for one text: {method}(["{data[:30]}"]), and for a file: '
                f"{method}(pathlib.Path(...))"
            )
        opened = self._opened(data)
        return [] if opened is None else [p for c in self._chunks(opened, decode) for p in c.predictions]

    def _opened(self, data: Any) -> Opened | None:
        """Texts, or whatever else has rows, as a table; None for an empty list."""
        is_table = any(hasattr(data, name) for name in ("columns", "column_names", "readline"))
        if is_table or isinstance(data, Path):
            return self._inputs.open(data, need_label=False)
        items = list(data)
        if items and isinstance(items[0], Mapping):
            return self._inputs.open(items, need_label=False)
        return self._inputs.of_texts(items)

    def _chunks(self, opened: Opened, decode: Decode | None = None) -> Iterator[_Chunk]:
        """All rows with their predictions, in order, a few thousand at a time."""
        task, columns = self._encoder.fitted.task, opened.columns
        without_gold = Columns(columns.text, None, columns.id, has_gold=False)
        for rows in chunks(opened.table.rows(), STREAM_CHUNK):
            has_text = [not task.is_blank(row, columns) for row in rows]
            examples = [task.parse(row, without_gold) for row, has in zip(rows, has_text, strict=True) if has]
            output, num_truncated = self._run(examples, self._encoder.fitted, decode)
            found = iter(output.predictions)
            yield _Chunk(rows, [next(found) if has else None for has in has_text], num_truncated)

    def _run(
        self, examples: list[Any], fitted: FittedTask, decode: Decode | None = None
    ) -> tuple[PredictionOutput, int]:
        """Predictions, and how many texts were truncated."""
        if not examples:
            return PredictionOutput([], None), 0
        sequences = replace(self._encoder, fitted=fitted)(examples)
        num_truncated = len({s.group for s in sequences if s.num_removed})
        return replace(self._predictor, fitted=fitted)(examples, sequences, decode), num_truncated

    def _lines(self, opened: Opened, counts: Counter[str]) -> Iterator[Line]:
        """What is written of each row. Counts rows, blank ones, and truncated texts."""
        nothing = dict.fromkeys(f.name for f in fields(self._encoder.fitted.task.Prediction))
        for chunk in self._counted(opened, counts):
            for row, prediction in zip(chunk.rows, chunk.predictions, strict=True):
                predicted = nothing if prediction is None else plain(prediction)
                yield row_line(row.values, predicted, self.labels), prediction is not None

    def _counted(self, opened: Opened, counts: Counter[str]) -> Iterator[_Chunk]:
        for chunk in self._chunks(opened):
            counts["rows"] += len(chunk.rows)
            counts["blank"] += sum(p is None for p in chunk.predictions)
            counts["truncated"] += chunk.num_truncated
            yield chunk

    def _further_lines(self, opened: Opened, suffix: str, counts: Counter[str]) -> Iterable[str]:
        """The lines of a further file of the task. Raises DataError where that needs labels."""
        task, columns = self._encoder.fitted.task, replace(opened.columns, label=None, has_gold=False)
        pairs = [
            (task.parse(row, columns), prediction)
            for chunk in self._counted(opened, counts)
            for row, prediction in zip(chunk.rows, chunk.predictions, strict=True)
            if prediction is not None
        ]
        found = self._encoder.fitted.extra_prediction_files([e for e, _ in pairs], [p for _, p in pairs])
        if suffix not in found:
            raise DataError(
                f".{suffix} is for rows with labels: bertune evaluate RUN FILE --out NAME.{suffix} writes it"
            )
        return found[suffix]

    def _write_evaluation(self, found: Evaluation, out: Path) -> None:
        suffix = suffix_of(out)
        if suffix in found.files:
            write_further(found.files[suffix], out)
        elif suffix in SUFFIXES:
            write_file(((of_labels(line, self.labels), True) for line in found.lines), out)
        else:
            raise DataError(f"{out}: there is no .{suffix} file of these examples")


def load_model(source: Run | str | Path, given: Mapping[str, Any] | None = None) -> Model:
    """The model of a run, or of a model folder, with the settings `given`. Raises ModelError, InputError."""
    from bertune.predict.torch_backend import backend_of
    from bertune.saved_model import load

    folder, settings = _folder(source), {key: dict(values) for key, values in (given or {}).items()}
    own = {
        key: str(settings[section].pop(name))
        for key, section, name in (("task.name", "task", "name"), ("model.head", "model", "head"))
        if name in settings.get(section, {})
    }
    if "reader" in settings.get("data", {}):
        own["data.reader"] = str(settings["data"]["reader"])
    fixed = [
        f"{section}.{key}"
        for section, values in settings.items()
        for key in values
        if section not in ("machine", "task") and (section, key) not in _FREE_TO_CHOOSE
    ]
    config = resolve(settings)  # an unknown or impossible setting is said first
    if fixed:
        raise ConfigError(f"{fixed[0]} was settled when the model was trained and cannot be changed now")
    loaded = load(folder, own)
    fitted, metadata = loaded.fitted, loaded.metadata
    if settings.get("task"):
        fitted, metadata = _with_options(fitted, metadata, settings["task"])
        fitted = fitted.bound(loaded.tokenizer)
    encoder = TextEncoder(fitted, loaded.tokenizer, metadata.max_length)
    backend = backend_of(replace(loaded, fitted=fitted, metadata=metadata), config.machine)
    return Model(metadata, encoder, backend, config.data)


def _folder(source: Run | str | Path) -> Path:
    """The model folder that is meant. Raises InputError."""
    folder = source.path if isinstance(source, Run) else Path(source)
    refuse_unusable(folder, "the model")
    if not folder.is_dir():
        raise InputError(
            f"{folder} does not exist or is no folder: give a run folder, or a model folder in one"
        )
    is_model = (folder / METADATA).is_file()
    if (folder / MANIFEST).is_file() or (not is_model and (folder / "model" / METADATA).is_file()):
        return folder / "model"
    return folder


def _with_options(
    fitted: FittedTask, metadata: ModelMetadata, options: Mapping[str, Any]
) -> tuple[FittedTask, ModelMetadata]:
    """The task with other options, of those that training does not settle. Raises ConfigError."""
    declared = type(fitted.task).Options.model_fields
    free = [key for key, option in declared.items() if option.json_schema_extra == CHANGEABLE]
    unknown = [key for key in options if key not in declared]
    if unknown:
        near = did_you_mean(f"task.{unknown[0]}", [f"task.{key}" for key in declared])
        raise ConfigError(f'there is no setting "task.{unknown[0]}" for this model.{near}')
    fixed = [key for key in options if key not in free]
    if fixed:
        can = f"; {listed([f'task.{key}' for key in free])} can" if free else ""
        raise ConfigError(
            f"task.{fixed[0]} was settled when the model was trained and cannot be changed now{can}"
        )
    changed = replace(
        metadata, task=TaskConfig(name=metadata.task.name, **{**metadata.task.options, **options})
    )
    return make_task(changed.task).fitted(fitted.labels), changed


_FREE_TO_CHOOSE = {
    ("data", key) for key in ("text", "label", "id", "header", "delimiter", "quoting", "encoding", "reader")
}
