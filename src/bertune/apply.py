"""Owns putting a trained model to work: predicting texts and files, scoring files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bertune.config import Config, resolve
from bertune.data.columns import Columns, choose_columns
from bertune.data.memory import table_from_memory
from bertune.data.rows import Row
from bertune.data.tables import Table, file_suffix, open_table
from bertune.errors import ConfigError, DataError, InputError
from bertune.infer import STREAM_CHUNK, Outcome, Predictor, chunks, plain
from bertune.metrics.scores import Scores
from bertune.model_folder import LoadedModel, load
from bertune.nn.device import make_machine
from bertune.prepare import Encoder, known_column_names, read_examples
from bertune.run import Run


def _plain_columns(num_texts: int) -> tuple[str, ...]:
    """What to call texts that come without a name."""
    return ("text",) if num_texts == 1 else tuple(f"text_{'abcdefgh'[i]}" for i in range(num_texts))


@dataclass(frozen=True)
class Evaluation:
    """How a model scores on a file."""

    scores: dict[str, float | None]
    details: dict[str, Any]  # per class, confusion matrix, by batch; plain JSON
    num_examples: int
    num_truncated: int
    loss: float | None
    lines: list[dict[str, Any]]  # one per example, as in the predictions folder of a run


class Model:
    """A trained model, ready to predict. Made by `bertune.load`."""

    def __init__(self, loaded: LoadedModel, config: Config) -> None:
        self.labels = loaded.labels
        self.config = config
        self._task = loaded.task
        self._contract = loaded.contract
        given = config.data.model_fields_set
        self._reading = {k: v for k, v in loaded.contract.reading.items() if k != "suffix" and k not in given}
        wanted = config.machine
        if "precision" not in wanted.model_fields_set:
            wanted = wanted.model_copy(update={"precision": loaded.contract.precision})
        machine = make_machine(wanted)
        model = loaded.model.to(machine.device)
        self._predictor = Predictor(model, loaded.task, loaded.labels, machine)
        self._encoder = Encoder(loaded.task, loaded.tokenizer, loaded.contract.max_length, loaded.labels)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns the model was trained on: one, or two for pairs."""
        return self._contract.columns.text

    @property
    def line_columns(self) -> tuple[str, ...]:
        """What to call the texts of plain lines: as in training, unless they had numbers for names."""
        names = self._contract.columns.text
        if self._task.predicts_single_texts:
            return _plain_columns(1)
        return _plain_columns(len(names)) if any(name.isdecimal() for name in names) else names

    def to_json(self, prediction: Any) -> dict[str, Any]:
        """A prediction as plain JSON values; every value None for a row without text."""
        if prediction is None:
            sample = self._task.Prediction
            return {field.name: None for field in fields(sample)}
        return plain(prediction)

    def predict(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[Any]:
        """One prediction per text, or per pair of texts, in order. Raises DataError for what is no text."""
        if isinstance(texts, str):
            raise DataError(f'predict takes a list of texts; for one text: predict(["{texts[:30]}"])')
        wanted = len(self.text_columns)
        if self._task.predicts_single_texts and isinstance(next(iter(texts), None), str):
            wanted = 1
        rows = []
        for number, item in enumerate(texts):
            parts = tuple(item) if isinstance(item, list | tuple) else (item,)
            if len(parts) != wanted or not all(isinstance(part, str | list | tuple) for part in parts):
                needs = {1: "a text", 2: "a pair of texts"}.get(wanted, f"{wanted} texts in a tuple")
                raise DataError(f"item {number} of the list is {item!r}; this model takes {needs}")
            rows.append(dict(zip(_plain_columns(wanted), parts, strict=True)))
        if not rows:
            return []
        table = table_from_memory(rows)
        columns = Columns(_plain_columns(wanted), None, None)
        return [prediction for _, prediction in self.stream(table, columns)]

    def stream(self, table: Table, columns: Columns) -> Iterator[tuple[Row, Any]]:
        """Each row with its prediction, in order; None for a row without text. Holds a few thousand rows."""
        for rows in chunks(table.rows(), STREAM_CHUNK):
            has_text = [not self._task.is_blank(row, columns) for row in rows]
            examples = [
                self._task.parse(row, Columns(columns.text, None, columns.id))
                for row, has in zip(rows, has_text, strict=True)
                if has
            ]
            predictions = iter(self._run(examples)[0].predictions)
            for row, has in zip(rows, has_text, strict=True):
                yield row, next(predictions) if has else None

    def evaluate(self, table: Table, columns: Columns) -> Evaluation:
        """Scores on a table with labels. Raises DataError for rows that cannot be scored."""
        examples = read_examples(table, self._task, columns)
        outcome, num_truncated = self._run(examples)
        scores: Scores = self._task.score(outcome.predictions, examples, self.labels)
        lines = [
            {"id": e.id, "source": str(e.origin), "text": list(e.texts), "gold": e.gold, **plain(p)}
            for e, p in zip(examples, outcome.predictions, strict=True)
        ]
        return Evaluation(scores.values, scores.details, len(examples), num_truncated, outcome.loss, lines)

    def open(self, source: object, need_label: bool) -> tuple[Table, Columns, tuple[str, ...]]:
        """A table and its columns: the training file's where it has them, else inferred."""
        data = self.config.data
        if isinstance(source, str | Path):
            if file_suffix(source) == self._contract.reading.get("suffix"):
                data = data.model_copy(update=self._reading)
            table = open_table(source, data, known_column_names(self._task, self._contract.columns))
        else:
            table = table_from_memory(source)
        return table, *self.columns_of(table, need_label)

    def columns_of(self, table: Table, need_label: bool) -> tuple[Columns, tuple[str, ...]]:
        """The columns of an opened table, and notes on what was inferred."""
        data, trained = self.config.data, self._contract.columns
        given: dict[str, Any] = {}
        numbers = {len(trained.text)}
        if self._task.predicts_single_texts and not need_label:
            numbers.add(1)
        if data.text is None and len(table.columns) == 1 and 1 in numbers:
            given["text"] = table.columns
        for names in (self.line_columns, trained.text):
            if data.text is None and set(names) <= set(table.columns):
                given["text"] = names
        if data.label is None and trained.label in table.columns and need_label:
            given["label"] = trained.label
        if data.id is None and trained.id in table.columns:
            given["id"] = trained.id
        columns, notes = choose_columns(
            table,
            data.model_copy(update=given),
            self._task.text_names,
            self._task.label_names,
            need_label and self._task.needs_label,
        )
        if len(columns.text) not in numbers:
            raise DataError(
                f"{table.name}: this model was trained on {len(trained.text)} text column(s) and "
                f"{len(columns.text)} are given: data.text={','.join(columns.text)}"
            )
        return columns, (*table.notes, *notes)

    def _run(self, examples: list[Any]) -> tuple[Outcome, int]:
        if not examples:
            return Outcome([], None), 0
        sequences = self._encoder(examples)
        num_truncated = len({s.group for s in sequences if s.num_removed})
        self.num_truncated += num_truncated
        return self._predictor(examples, sequences), num_truncated

    num_truncated = 0  # texts cut to the model's length since it was loaded


def load_model(source: Run | str | Path, overrides: Mapping[str, Any] | None = None) -> Model:
    """The model of a run, or of a model folder. Raises ModelError, InputError."""
    folder = source.path if isinstance(source, Run) else Path(source)
    if not folder.is_dir():
        raise InputError(
            f"{folder} does not exist or is no folder: give a run folder, or a model folder in one"
        )
    if (folder / "manifest.json").is_file():
        folder = folder / "model"
    settings = {key: dict(values) for key, values in (overrides or {}).items()}
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
        if section != "machine" and (section, key) not in _FREE_TO_CHOOSE
    ]
    resolve(settings)  # an unknown or impossible setting is said first
    if fixed:
        raise ConfigError(f"{fixed[0]} was settled when the model was trained and cannot be changed now")
    return Model(load(folder, own), resolve(settings))


_FREE_TO_CHOOSE = {
    ("data", key) for key in ("text", "label", "id", "header", "delimiter", "quoting", "encoding", "reader")
}
