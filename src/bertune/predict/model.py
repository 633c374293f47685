"""The public `Model` class: predict texts and files, and evaluate on labelled data."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from bertune.config import DataConfig
from bertune.data.columns import Columns, pointed_numbers_warning
from bertune.data.rows import Row
from bertune.errors import ConfigError, DataError
from bertune.files import as_path, shown
from bertune.metadata import ModelMetadata
from bertune.predict.backend import Backend
from bertune.predict.evaluating import evaluated
from bertune.predict.inputs import Inputs, Opened
from bertune.predict.output_columns import OutputColumns
from bertune.predict.predictor import (
    STREAM_CHUNK,
    Decode,
    Predictor,
    ReadableRows,
    Tally,
    chunks,
    decoded,
    plain,
    readable_rows,
)
from bertune.predict.results import Evaluation, Labelled, RowProgress, WrittenPredictions, watched
from bertune.predict.writers import (
    EXAMPLE_COLUMNS,
    SUFFIXES,
    VECTORS,
    Line,
    csv_columns,
    evaluated_lines,
    flat_names,
    is_same_file,
    refuse_out,
    refuse_prefix,
    suffix_of,
    write_file,
    write_further,
    write_text,
)
from bertune.settings import validated
from bertune.tasks import FittedTask, Output
from bertune.tasks.encoder import TextEncoder, read_examples
from bertune.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class _Chunk:
    """Consecutive rows with their predictions; None for each row without a prediction."""

    rows: list[Row]
    predictions: list[Any]
    read: ReadableRows


class Model:
    """A trained model for prediction and evaluation, as returned by `bertune.load`.

    A model is immutable: threads can share it, and it can be pickled.
    """

    labels: tuple[str, ...]  # label names in the order of the outputs; empty if the task has no labels
    max_length: int  # tokens at which texts are truncated or split into windows: model.max_length
    length_limit: int  # maximum value of model.max_length

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
        self._prefix = prefix  # of the prediction columns in output files

    def predict(self, texts: Any) -> list[Any]:
        """Predict a list of texts, or of tuples of texts if the model takes several texts.

        Tasks that tag words also accept a list of words as a text. A pathlib.Path, a table and a list of
        dicts are predicted row by row. Returns one prediction per text or row, in order. It is None for a row
        without text and for one that cannot be predicted, such as a question longer than task.max_question;
        `predict_file` reports the reasons. Raises DataError if no row of a file or table can be predicted.
        """
        return self._predict("predict", texts)

    def predict_proba(self, texts: Any) -> NDArray[np.float64]:
        """The probability of every label, [N, C] in the order of `labels`; takes the same input as `predict`.

        Rows for which `predict` returns None are NaN. Raises ConfigError if the task does not predict label
        probabilities.
        """
        fitted = self._encoder.fitted
        if not fitted.has_probabilities:
            raise ConfigError(
                f"predict_proba needs a task that predicts label probabilities, such as classification; "
                f"this model was trained for {self._inputs.metadata.task.name}. Use predict instead"
            )
        blank = np.full(len(self.labels), np.nan)
        rows = self._predict("predict_proba", texts, fitted.decode_probabilities)
        return np.array([blank if p is None else p for p in rows], np.float64).reshape(-1, len(blank))

    def encode(self, texts: Any) -> NDArray[np.float32]:
        """The embedding of every text, [N, H]; takes the same input as `predict`.

        Rows for which `predict` returns None are NaN. Raises ConfigError if the task does not compute
        embeddings, and DataError for rows with several texts.
        """
        fitted = self._encoder.fitted
        if not fitted.has_vectors:
            raise ConfigError(
                f"encode needs an embedding model; this model was trained for "
                f"{self._inputs.metadata.task.name}. Use predict instead"
            )
        rows = self._predict("encode", texts, fitted.decode_vector)
        size = next((len(v) for v in rows if v is not None), 0)
        blank = np.full(size, np.nan, np.float32)
        return np.array([blank if v is None else v for v in rows], np.float32).reshape(len(rows), size)

    @property
    def fitted(self) -> FittedTask:
        """The task that the model was trained for."""
        return self._encoder.fitted

    @property
    def metadata(self) -> ModelMetadata:
        """The inputs that the model expects and the meaning of its outputs."""
        return self._inputs.metadata

    @property
    def encoder(self) -> TextEncoder:
        """The tokenizer with the task, which turns examples into sequences."""
        return self._encoder

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""
        return self._encoder.tokenizer

    @property
    def backend(self) -> Backend:
        """The network, which computes the outputs of sequences."""
        return self._predictor.backend

    def with_backend(self, backend: Backend, reading: Mapping[str, Any] | None = None) -> "Model":
        """The same model, computed by `backend`. Files are also read with the settings `reading` of [data].

        Raises ConfigError for invalid settings.
        """
        given = {key: getattr(self._inputs.data, key) for key in self._inputs.data.model_fields_set}
        data = validated(DataConfig, {**given, **(reading or {})}, prefix="data.")
        return Model(self._inputs.metadata, self._encoder, backend, data, self._prefix)

    def tokenize(self, texts: list[Any]) -> ReadableRows:
        """A list of texts or dicts, parsed and tokenized, for callers that run `backend` themselves."""
        opened = self._items(texts)
        if opened is None:
            return ReadableRows([], [], [], 0, 0, {})
        return readable_rows(list(opened.table.rows()), self._encoder, opened.columns)

    def decode(self, read: ReadableRows, outputs: list[Output], decode: Decode | None = None) -> list[Any]:
        """The predictions for the result of `tokenize`; `outputs` belong to `read.sequences`, in order.

        `decode` overrides the `decode` of the task. Returns None for a row that cannot be predicted. Raises
        NonFiniteError.
        """
        fitted = self._encoder.fitted
        return read.with_gaps(decoded(fitted, read.examples, read.sequences, outputs, decode))

    def labelled(self, data: object, out: Path | None = None) -> Labelled:
        """Labelled examples, tokenized. Raises DataError, and ConfigError if the new file `out` exists."""
        opened = self._inputs.open(data, need_label=True)
        if out is not None and os.path.lexists(out):
            what = "is the data file itself" if is_same_file(out, opened.table.name) else "already exists"
            raise ConfigError(f"{out} {what}. evaluate does not overwrite files; use another name")
        examples = read_examples(opened.table, self._encoder.fitted.task, opened.columns)
        fitted = self._encoder.fitted.for_scoring(examples)
        warning = ""
        if isinstance(data, str | Path) and examples and isinstance(examples[0].gold, float):
            warning = pointed_numbers_warning(opened.table, opened.columns)
        sequences = replace(self._encoder, fitted=fitted)(examples)
        return Labelled(fitted, examples, sequences, opened.notes, (warning,) if warning else ())

    def evaluate(self, data: object, out: str | Path | None = None) -> Evaluation:
        """Evaluate on a labelled file, named data set or table, or on (texts, labels).

        `out` is a new file for the prediction of each example: .jsonl, .csv, .parquet, or a task-specific
        format. predict.prefix is prepended to the names of the prediction columns. Raises DataError for rows
        that cannot be scored.
        """
        path = None if out is None else as_path(out, "out")
        if path is not None:
            self._refuse_out(path, SUFFIXES)
        found = self.labelled(data, path)
        evaluation = evaluated(found, self._predictor)
        if path is not None:
            self._write_evaluation(evaluation, path)
        return evaluation

    def predict_file(
        self,
        data: object,
        out: str | Path | TextIO,
        csv: bool = False,
        *,
        on_note: Callable[[str], None] = lambda note: None,
        progress: RowProgress | None = None,
    ) -> WrittenPredictions:
        """Predict every row of a file, named data set or table, and write it with its prediction.

        The suffix of `out` determines the format: .jsonl, .csv, .parquet, .npy for embeddings only, or a
        task-specific format. `data` and `out` can also be open text files; the format is then JSON Lines, or
        CSV with `csv`. All input columns are kept; those with the same name as a prediction column are
        renamed, as reported in the result. `on_note` is called with messages about the file that is read and
        about what was inferred about its columns. With `progress`, the rows are counted first, so `data` must
        not be an open file. The file is written atomically. Raises InputError.
        """
        task = self._encoder.fitted.task
        path = None if hasattr(out, "write") else as_path(out, "out, unless it is an open text file,")
        if path is not None:
            self._refuse_out(path, (*SUFFIXES, VECTORS), csv)
        opened = self._inputs.open(data, need_label=False)
        is_stream = hasattr(data, "readline")
        if is_same_file(path or out, data if is_stream else opened.table.name):
            raise ConfigError(
                f"{path or 'standard output'} is the input file. predict does not overwrite it; use another "
                "name"
            )
        for note in opened.notes:
            on_note(note)
        if progress is not None:
            opened = replace(opened, table=watched(opened.table, progress))
        source = opened.table.ungrouped or opened.table
        part_fields = self._encoder.fitted.part_fields if opened.table.ungrouped else ()
        names = self._output_columns(source.columns, part_fields)
        is_csv = csv or (path is not None and suffix_of(path) == "csv")
        columns = csv_columns(source, names) if is_csv and not is_stream else None
        is_replacement = path is not None and os.path.lexists(path)
        tally = Tally()
        if progress is not None:
            progress.expect(sum(1 for _ in source.rows()))
            tally.on_rows = progress.advance
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

    def _refuse_out(self, out: Path, suffixes: tuple[str, ...], csv: bool = False) -> None:
        """Raise InputError if `out` cannot be written in one of these formats or of those of the task."""
        known = (*suffixes, *self._encoder.fitted.task.extra_suffixes)
        suffix = suffix_of(out)
        if csv and suffix in known and suffix != "csv":
            raise ConfigError(
                f"{out}: the suffix .{suffix} conflicts with --csv. Remove --csv or change the suffix"
            )
        refuse_out(out, (*known, suffix) if csv else known)
        if self._has_no_columns(out):
            refuse_prefix(self._prefix, out)

    def _output_columns(self, columns: Iterable[str], part_fields: Iterable[str] = ()) -> OutputColumns:
        """The columns of an output file for an input with these columns.

        If the task groups rows, `part_fields` are the prediction columns of each row.
        """
        fitted = self._encoder.fitted
        added = tuple(part_fields) or fitted.prediction_fields
        return OutputColumns(added, columns, self.labels, self._prefix)

    def _has_no_columns(self, out: Path) -> bool:
        """Whether the format of `out` has no input columns: embeddings only, or a task-specific format."""
        return suffix_of(out) in (VECTORS, *self._encoder.fitted.task.extra_suffixes)

    def _predict(self, method: str, data: Any, decode: Decode | None = None) -> list[Any]:
        """The result of `decode` for each text or row, in order; None for rows that cannot be predicted."""
        if isinstance(data, str):
            raise DataError(
                f'{method} takes a list of texts, got a string. For one text, use {method}(["{data[:30]}"]); '
                f"for a file, use {method}(pathlib.Path(...))"
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
        """A list of texts or dicts as a table; None for an empty list."""
        if items and not isinstance(items[0], str) and isinstance(items[0], Mapping):
            return self._inputs.open(items, need_label=False)
        return self._inputs.of_texts(items)

    def _chunks(self, opened: Opened, decode: Decode | None = None) -> Iterator[_Chunk]:
        """All rows with their predictions, in order, in chunks of STREAM_CHUNK."""
        for rows in chunks(opened.table.rows(), STREAM_CHUNK):
            read = readable_rows(rows, self._encoder, opened.columns)
            output = self._predictor(read.examples, read.sequences, decode) if read.examples else None
            yield _Chunk(rows, read.with_gaps(output.predictions if output else ()), read)

    def _lines(self, opened: Opened, names: OutputColumns, tally: Tally) -> Iterator[Line]:
        """The output line of each row."""
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
        """The output line of each of the rows that the task grouped into one."""
        if prediction is None:
            predicted: list[Mapping[str, Any] | None] = [None] * len(row.parts)  # already counted
        else:
            predicted = self._encoder.fitted.split_prediction(prediction, row, columns)
            tally.blank += predicted.count(None)
        for part, values in zip(row.parts, predicted, strict=True):
            yield Line(names.given(part.values), names.added(values), values is not None, str(part.origin))

    def _counted(self, opened: Opened, tally: Tally, decode: Decode | None = None) -> Iterator[_Chunk]:
        """The chunks of a file or table, counted in `tally`. Raises DataError if no row can be predicted."""
        for chunk in self._chunks(opened, decode):
            tally.add(chunk.read)
            yield chunk

    def _further_lines(self, opened: Opened, suffix: str, tally: Tally) -> Iterable[str]:
        """The lines of a task-specific file. Raises DataError if the format needs labels."""
        task, columns = self._encoder.fitted.task, replace(opened.columns, label=None, has_gold=False)
        pairs = [
            (task.parse(row, columns), prediction)
            for chunk in self._counted(opened, tally)
            for row, prediction in zip(chunk.rows, chunk.predictions, strict=True)
            if prediction is not None
        ]
        files = self._encoder.fitted.extra_prediction_files([e for e, _ in pairs], [p for _, p in pairs])
        if suffix not in files:
            raise DataError(
                f"a .{suffix} file needs labels. Write it with: bertune evaluate RUN FILE --out NAME.{suffix}"
            )
        return files[suffix]

    def _write_evaluation(self, evaluation: Evaluation, out: Path) -> None:
        suffix = suffix_of(out)
        if suffix in evaluation.files:
            write_further(evaluation.files[suffix], out)
        elif suffix in SUFFIXES:
            lines = list(evaluated_lines(evaluation.lines, self._output_columns(EXAMPLE_COLUMNS)))
            columns = flat_names((line.place, line.given) for line in lines) if suffix == "csv" else None
            write_file(lines, out, columns=columns)
        else:
            raise DataError(
                f"{out}: these examples cannot be written as .{suffix}. Use .jsonl, .csv or .parquet"
            )
