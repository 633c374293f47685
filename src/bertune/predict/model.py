"""The public class: a trained model that predicts texts and files, and is scored on labelled ones."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from bertune.config import DataConfig
from bertune.data.columns import Columns
from bertune.data.rows import Row
from bertune.errors import ConfigError, DataError
from bertune.files import as_path, shown
from bertune.metadata import ModelMetadata
from bertune.metrics.limitations import limitation_texts
from bertune.predict.backend import Backend
from bertune.predict.inputs import Inputs, Opened
from bertune.predict.output_columns import OutputColumns
from bertune.predict.predictor import (
    STREAM_CHUNK,
    Decode,
    Predictor,
    ReadableRows,
    Tally,
    chunks,
    plain,
    readable_rows,
)
from bertune.predict.writers import (
    EXAMPLE_COLUMNS,
    SUFFIXES,
    VECTORS,
    Line,
    csv_columns,
    evaluated_lines,
    flat_names,
    is_same_file,
    prediction_lines,
    refuse_out,
    refuse_prefix,
    suffix_of,
    write_file,
    write_further,
    write_text,
)
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
    warnings: tuple[str, ...] = ()  # scores that no prediction could change, labels that do not occur


@dataclass(frozen=True)
class WrittenPredictions:
    """What `Model.predict_file` wrote."""

    rows: int
    blank: int  # rows without text, which have no prediction
    truncated: int  # texts that lost tokens because they have more than model.max_length
    renamed: Mapping[str, str] = field(default_factory=dict)  # input columns by another name in the output
    is_replacement: bool = False  # whether there was a file of that name
    failed: int = 0  # rows that cannot be predicted, such as a question with a single choice
    failures: tuple[str, ...] = ()  # why, for the first of them, each with file and line


@dataclass(frozen=True)
class _Chunk:
    """Some consecutive rows with their predictions, None for each row that has none."""

    rows: list[Row]
    predictions: list[Any]
    read: ReadableRows


class Model:
    """A trained model, ready to predict. Made by `bertune.load`.

    Nothing about it changes after that: threads may share it, and it can be pickled.
    """

    labels: tuple[str, ...]  # the names of the outputs, in their order; empty where they have none
    max_length: int  # tokens at which texts are truncated or divided into windows: model.max_length
    length_limit: int  # the most that model.max_length can be

    def __init__(
        self,
        metadata: ModelMetadata,
        encoder: TextEncoder,
        backend: Backend,
        data: DataConfig | None = None,
        prefix: str = "",
    ) -> None:
        self.labels = encoder.fitted.labels
        self.max_length = encoder.max_length
        self.length_limit = metadata.length_limit or encoder.max_length
        self._encoder = encoder
        self._predictor = Predictor(encoder.fitted, backend)
        self._inputs = Inputs(encoder.fitted.task, metadata, data or DataConfig())
        self._prefix = prefix  # of the columns that files of predictions add

    def predict(self, texts: Any) -> list[Any]:
        """One prediction per text, or per tuple of texts where the model takes several, in order.

        A list of words is a text where the task tags words. A pathlib.Path, a table or a list of dicts gives
        a prediction for each row. It is None for a row without text and for one that cannot be predicted,
        such as a question longer than task.max_question; `predict_file` says why. Raises DataError where that
        is every row of a file or table.
        """
        return self._predict("predict", texts)

    def predict_proba(self, texts: Any) -> NDArray[np.float64]:
        """The probability of every label, [N, C] in the order of `labels`, for what `predict` takes.

        NaN where `predict` gives None. Raises ConfigError where a task has no probabilities of labels.
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

        NaN where `predict` gives None. Raises ConfigError where a task has no vectors of texts, and for rows
        of several texts.
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
        task. predict.prefix applies to the columns that hold the prediction. Raises DataError for rows that
        cannot be scored.
        """
        path = None if out is None else as_path(out, "out")
        task = self._encoder.fitted.task
        if path is not None:
            refuse_out(path, (*SUFFIXES, *task.extra_suffixes))
            if self._has_no_columns(path):
                refuse_prefix(self._prefix, path)
        opened = self._inputs.open(data, need_label=True)
        if path is not None and os.path.lexists(path):
            what = "is the data file itself" if is_same_file(path, opened.table.name) else "already exists"
            raise ConfigError(f"{path} {what}; evaluate does not overwrite files. Give another name")
        examples = read_examples(opened.table, task, opened.columns)
        fitted = self._encoder.fitted.for_scoring(examples)
        sequences = replace(self._encoder, fitted=fitted)(examples)
        output = replace(self._predictor, fitted=fitted)(examples, sequences)
        scores = fitted.score(output.predictions, examples)
        files = fitted.extra_prediction_files(examples, output.predictions)
        found = Evaluation(
            scores=scores.values,
            details=scores.details,
            num_examples=len(examples),
            num_truncated=len({s.group for s in sequences if s.num_removed}),
            loss=output.loss,
            lines=list(prediction_lines(examples, output.predictions)),
            files={suffix: list(lines) for suffix, lines in files.items()},
            noun=str(task.noun),
            notes=opened.notes,
            warnings=tuple(limitation_texts(fitted.limitations(examples, sequences))),
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
        The rows' own columns are kept; the result says which of them were renamed, because a column of the
        prediction has that name. `on_note` gets which file is read and what was inferred about its columns.
        Raises InputError; the file is written whole or not at all.
        """
        task = self._encoder.fitted.task
        path = None if hasattr(out, "write") else as_path(out, "out, unless it is an open text file,")
        if path is not None:
            known = (*SUFFIXES, VECTORS, *task.extra_suffixes)
            suffix = suffix_of(path)
            if csv and suffix in known and suffix != "csv":
                raise ConfigError(f"{path}: its name ends in .{suffix}, and --csv says CSV. Drop one")
            refuse_out(path, (*known, suffix) if csv else known)
            if self._has_no_columns(path):
                refuse_prefix(self._prefix, path)
        opened = self._inputs.open(data, need_label=False)
        is_stream = hasattr(data, "readline")
        if is_same_file(path or out, data if is_stream else opened.table.name):
            raise ConfigError(
                f"{path or 'standard output'} is the input file, and predict does not overwrite it. Give "
                "another name"
            )
        for note in opened.notes:
            on_note(note)
        tally = Tally()
        source = opened.table.ungrouped or opened.table
        part_fields = self._encoder.fitted.part_fields if opened.table.ungrouped else ()
        names = self._output_columns(source.columns, part_fields)
        is_csv = csv or (path is not None and suffix_of(path) == "csv")
        columns = csv_columns(source, names) if is_csv and not is_stream else None
        is_replacement = path is not None and os.path.lexists(path)
        if path is None:
            assert not isinstance(out, str | os.PathLike)
            write_text(self._lines(opened, names, tally), out, csv, columns)
        elif suffix_of(path) in task.extra_suffixes:
            write_further(self._further_lines(opened, suffix_of(path), tally), path)
        else:
            write_file(self._lines(opened, names, tally), path, csv, columns)
        renamed = {} if path is not None and self._has_no_columns(path) else names.renamed
        return WrittenPredictions(
            rows=tally.rows,
            blank=tally.blank,
            truncated=tally.truncated,
            renamed=renamed,
            is_replacement=is_replacement,
            failed=tally.failed,
            failures=tuple(tally.failures),
        )

    def _output_columns(self, columns: Iterable[str], part_fields: Iterable[str] = ()) -> OutputColumns:
        """The columns of a file of predictions for an input with these columns.

        `part_fields` are what is written of each row instead where the task has grouped them.
        """
        fitted = self._encoder.fitted
        added = tuple(part_fields) or tuple(f.name for f in fields(fitted.task.Prediction))
        return OutputColumns(added, columns, self.labels, self._prefix)

    def _has_no_columns(self, out: Path) -> bool:
        """Whether a file of this name holds nothing of the rows: vectors alone, or a format of the task."""
        return suffix_of(out) in (VECTORS, *self._encoder.fitted.task.extra_suffixes)

    def _predict(self, method: str, data: Any, decode: Decode | None = None) -> list[Any]:
        """What `decode` makes of each text or row, in order; None for a row that cannot be predicted."""
        if isinstance(data, str):
            raise DataError(
                f'{method} takes a list of texts; for one text: {method}(["{data[:30]}"]), and for a file: '
                f"{method}(pathlib.Path(...))"
            )
        is_table = any(hasattr(data, name) for name in ("columns", "column_names", "readline"))
        if is_table or isinstance(data, Path):
            opened = self._inputs.open(data, need_label=False)
            return [p for c in self._counted(opened, Tally(), decode) for p in c.predictions]
        if isinstance(data, bytes | Mapping | type) or not hasattr(data, "__iter__"):
            raise DataError(
                f"{method} takes a list of texts, a table, a list of dicts or a pathlib.Path, got "
                f"{shown(data)}"
            )
        of_items = self._items(list(data))
        return [] if of_items is None else [p for c in self._chunks(of_items, decode) for p in c.predictions]

    def _items(self, items: list[Any]) -> Opened | None:
        """Texts, or rows as dicts, as a table; None for an empty list."""
        if items and isinstance(items[0], Mapping):
            return self._inputs.open(items, need_label=False)
        return self._inputs.of_texts(items)

    def _chunks(self, opened: Opened, decode: Decode | None = None) -> Iterator[_Chunk]:
        """All rows with their predictions, in order, a few thousand at a time."""
        for rows in chunks(opened.table.rows(), STREAM_CHUNK):
            read = readable_rows(rows, self._encoder, opened.columns)
            found = self._predictor(read.examples, read.sequences, decode) if read.examples else None
            yield _Chunk(rows, read.with_gaps(found.predictions if found else ()), read)

    def _lines(self, opened: Opened, names: OutputColumns, tally: Tally) -> Iterator[Line]:
        """What is written of each row."""
        for chunk in self._counted(opened, tally):
            for row, prediction in zip(chunk.rows, chunk.predictions, strict=True):
                if row.parts:
                    yield from self._lines_of_parts(row, prediction, opened.columns, names, tally)
                    continue
                added = names.added(None if prediction is None else plain(prediction))
                yield Line(names.given(row.values), added, prediction is not None, str(row.origin))

    def _lines_of_parts(
        self, row: Row, prediction: Any, columns: Columns, names: OutputColumns, tally: Tally
    ) -> Iterator[Line]:
        """What is written of each of the rows that the task has grouped into one."""
        if prediction is None:
            said: list[Mapping[str, Any] | None] = [None] * len(row.parts)  # counted as a whole
        else:
            said = self._encoder.fitted.split_prediction(prediction, row, columns)
            tally.blank += said.count(None)
        for part, own in zip(row.parts, said, strict=True):
            yield Line(names.given(part.values), names.added(own), own is not None, str(part.origin))

    def _counted(self, opened: Opened, tally: Tally, decode: Decode | None = None) -> Iterator[_Chunk]:
        """The chunks of a file or table. Raises DataError where none of its rows can be predicted."""
        for chunk in self._chunks(opened, decode):
            tally.add(chunk.read)
            yield chunk

    def _further_lines(self, opened: Opened, suffix: str, tally: Tally) -> Iterable[str]:
        """The lines of a further file of the task. Raises DataError where that needs labels."""
        task, columns = self._encoder.fitted.task, replace(opened.columns, label=None, has_gold=False)
        pairs = [
            (task.parse(row, columns), prediction)
            for chunk in self._counted(opened, tally)
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
            lines = list(evaluated_lines(found.lines, self._output_columns(EXAMPLE_COLUMNS)))
            columns = flat_names((line.place, line.given) for line in lines) if suffix == "csv" else None
            write_file(lines, out, columns=columns)
        else:
            raise DataError(f"{out}: there is no .{suffix} file of these examples")
