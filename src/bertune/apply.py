"""Owns putting a trained model to work: predicting texts and files, scoring files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from bertune.config import CHANGEABLE, Config, DataConfig, TaskConfig, resolve
from bertune.data import named
from bertune.data.columns import Columns, choose_columns
from bertune.data.memory import MEMORY, table_from_memory, table_of
from bertune.data.rows import Origin, Row
from bertune.data.tables import Table, file_suffix, open_table, refuse_long_name
from bertune.errors import ConfigError, DataError, InputError, did_you_mean, listed
from bertune.files import refuse_unusable
from bertune.infer import STREAM_CHUNK, Outcome, Predictor, chunks, plain
from bertune.metadata import FILE as METADATA
from bertune.metrics.scores import Scores
from bertune.model_folder import LoadedModel, load
from bertune.nn.device import make_machine
from bertune.run import MANIFEST, Run
from bertune.source import SPLITS
from bertune.tasks import FittedTask, make_task
from bertune.tasks.encoder import TextEncoder, known_column_names, read_examples


def _plain_columns(num_texts: int) -> tuple[str, ...]:
    """What to call texts that come without a name."""
    if num_texts == 1:
        return ("text",)
    return tuple(f"text_{ascii_lowercase[i]}" if i < 26 else f"text_{i + 1}" for i in range(num_texts))


@dataclass(frozen=True)
class Evaluation:
    """How a model scores on a file."""

    scores: dict[str, float | None]
    details: dict[str, Any]  # per class, confusion matrix, by batch; plain JSON
    num_examples: int
    num_truncated: int
    loss: float | None
    lines: list[dict[str, Any]]  # one per example, as in the predictions folder of a run
    files: dict[str, list[str]]  # lines of further files there, by ending


class Model:
    """A trained model, ready to predict. Made by `bertune.load`."""

    def __init__(self, loaded: LoadedModel, config: Config) -> None:
        self.labels = loaded.fitted.labels
        self.config = config
        self._task = loaded.fitted.task
        self._metadata = loaded.metadata
        given = config.data.model_fields_set
        self._reading = {k: v for k, v in loaded.metadata.reading.items() if k != "suffix" and k not in given}
        wanted = config.machine
        if "precision" not in wanted.model_fields_set:
            wanted = wanted.model_copy(update={"precision": loaded.metadata.precision})
        machine = make_machine(wanted)
        model = loaded.model.to(machine.device)
        self._predictor = Predictor(model, loaded.fitted, machine)
        self._encoder = TextEncoder(loaded.fitted, loaded.tokenizer, loaded.metadata.max_length)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns the model was trained on: one, or two for pairs."""
        return self._metadata.columns.text

    @property
    def noun(self) -> str:
        """What an example is called: "text", or "question", say."""
        return str(self._task.noun)

    @property
    def extra_suffixes(self) -> tuple[str, ...]:
        """Of the further files that the task may write."""
        return tuple(self._task.extra_suffixes)

    @property
    def line_columns(self) -> tuple[str, ...]:
        """What to call the texts of plain lines: as in training, unless they had numbers for names."""
        return _plain_columns(1) if self._task.predicts_single_texts else self._item_columns

    @property
    def _item_columns(self) -> tuple[str, ...]:
        names = self._metadata.columns.text
        return _plain_columns(len(names)) if any(name.isdecimal() for name in names) else names

    def to_json(self, prediction: Any) -> dict[str, Any]:
        """A prediction as plain JSON values; every value None for a row without text."""
        if prediction is None:
            sample = self._task.Prediction
            return {field.name: None for field in fields(sample)}
        return plain(prediction)

    def predict(self, texts: Sequence[str] | Sequence[Sequence[Any]]) -> list[Any]:
        """One prediction per text, or per tuple of texts where the model takes several, in order.

        A list of words is a text where the task tags words. Raises DataError for what is no text.
        """
        if isinstance(texts, str):
            raise DataError(f'predict takes a list of texts; for one text: predict(["{texts[:30]}"])')
        is_single = self._task.predicts_single_texts and isinstance(next(iter(texts), None), str)
        columns = Columns(_plain_columns(1) if is_single else self._item_columns, None, None)
        rows = [
            dict(zip(columns.text, self._cells(number, item, columns), strict=True))
            for number, item in enumerate(texts)
        ]
        if not rows:
            return []
        return [prediction for _, prediction in self.stream(table_from_memory(rows), columns)]

    def _cells(self, number: int, item: Any, columns: Columns) -> tuple[Any, ...]:
        """What an item of a list has for each text column. Raises DataError."""
        value = item.tolist() if hasattr(item, "tolist") else item
        if len(columns.text) == 1 and isinstance(value, list | tuple) and self._takes(list(value), columns):
            return (list(value),)
        parts = tuple(value) if isinstance(value, list | tuple) else (value,)
        if len(parts) != len(columns.text) or not all(isinstance(part, str | list | tuple) for part in parts):
            needs = {1: "a text", 2: "a pair of texts"}.get(
                len(columns.text), f"{len(columns.text)} texts in a tuple: {', '.join(columns.text)}"
            )
            words = ", or a list of its words" if self._takes(["a", "word"], columns) else ""
            raise DataError(f"item {number} of the list is {item!r}; this model takes {needs}{words}")
        return parts

    def _takes(self, words: list[Any], columns: Columns) -> bool:
        """Whether a list can stand for a text: then its items are the words."""
        if len(columns.text) > 1:
            return False
        try:
            self._task.is_blank(Row({columns.text[0]: words}, Origin(MEMORY, 1)), columns)
        except DataError:
            return False
        return True

    def stream(self, table: Table, columns: Columns) -> Iterator[tuple[Row, Any]]:
        """Each row with its prediction, in order; None for a row without text. Holds a few thousand rows."""
        for rows in chunks(table.rows(), STREAM_CHUNK):
            has_text = [not self._task.is_blank(row, columns) for row in rows]
            examples = [
                self._task.parse(row, Columns(columns.text, None, columns.id, has_gold=False))
                for row, has in zip(rows, has_text, strict=True)
                if has
            ]
            predictions = iter(self._run(examples)[0].predictions)
            for row, has in zip(rows, has_text, strict=True):
                yield row, next(predictions) if has else None

    def evaluate(self, table: Table, columns: Columns) -> Evaluation:
        """Scores on a table with labels. Raises DataError for rows that cannot be scored."""
        examples = read_examples(table, self._task, columns)
        fitted = self._encoder.fitted.for_scoring(examples)
        outcome, num_truncated = self._run(examples, fitted)
        scores: Scores = fitted.score(outcome.predictions, examples)
        lines = [
            {"id": e.id, "source": str(e.origin), "text": list(e.texts), "gold": e.gold, **plain(p)}
            for e, p in zip(examples, outcome.predictions, strict=True)
        ]
        files = fitted.extra_prediction_files(examples, outcome.predictions)
        return Evaluation(
            scores=scores.values,
            details=scores.details,
            num_examples=len(examples),
            num_truncated=num_truncated,
            loss=outcome.loss,
            lines=lines,
            files={suffix: list(found) for suffix, found in files.items()},
        )

    def predicted_file(self, table: Table, columns: Columns, suffix: str) -> tuple[list[str], int, int]:
        """The lines of a further file of the task, one of `extra_suffixes`; the rows read, and those without
        text, of which nothing is said. Raises DataError where it needs what rows to predict do not have.
        """
        streamed = list(self.stream(table, columns))
        said = [(row, p) for row, p in streamed if p is not None]
        columns = replace(columns, label=None, has_gold=False)
        examples = [self._task.parse(row, columns) for row, _ in said]
        found = self._encoder.fitted.extra_prediction_files(examples, [p for _, p in said])
        if suffix not in found:
            raise DataError(
                f".{suffix} is for rows with labels: bertune evaluate RUN FILE --out FOLDER writes it"
            )
        return list(found[suffix]), len(streamed), len(streamed) - len(said)

    def open(self, source: object, need_label: bool) -> tuple[Table, Columns, tuple[str, ...]]:
        """A table and its columns: the training file's where it has them, else inferred.

        Of a named data set it is the test file, or the validation file where there is none.
        """
        data = self.config.data
        notes: tuple[str, ...] = ()
        if isinstance(source, str | Path):
            file, data, notes = self._located(str(source))
            table = open_table(file, data, known_column_names(self._task, self._metadata.columns))
        else:
            table = table_of(source)
        columns, more = self.columns_of(table, need_label, data)
        return table, columns, (*notes, *more)

    def _located(self, source: str) -> tuple[str, DataConfig, tuple[str, ...]]:
        """The file that is meant, how to read it, and what must be known of it."""
        data, path = self.config.data, Path(source)
        if source in named.names():
            return _named_file(source, data)
        refuse_long_name(path)
        near = did_you_mean(source, named.names())
        if near and not path.suffix and not path.exists():
            raise DataError(f'"{source}" is neither a file nor a named data set.{near}')
        if file_suffix(source) == self._metadata.reading.get("suffix"):
            data = data.model_copy(update=self._reading)
        return source, data, ()

    def columns_of(
        self, table: Table, need_label: bool, data: DataConfig | None = None
    ) -> tuple[Columns, tuple[str, ...]]:
        """The columns of an opened table, and notes on what was inferred."""
        data, trained = data or self.config.data, self._metadata.columns
        given: dict[str, Any] = {}
        numbers = {len(trained.text)}
        if self._task.predicts_single_texts:
            numbers |= set(self._task.columns.num_texts) if need_label else {1, *self._task.columns.num_texts}
        if data.text is None and len(table.columns) == 1 and 1 in numbers:
            given["text"] = table.columns
        for names in (self.line_columns, trained.text):
            if data.text is None and set(names) <= set(table.columns):
                given["text"] = names
        if data.label is None and trained.label in table.columns and need_label:
            given["label"] = trained.label
        if data.id is None and trained.id in table.columns:
            given["id"] = trained.id
        options, task = data.model_copy(update=given), self._task
        try:
            columns, notes = choose_columns(
                table, options, task.columns.text, task.columns.label, need_label and task.needs_label
            )
        except DataError as error:
            if options.text is not None:
                raise
            label = f' and the label "{trained.label}"' if need_label and trained.label else ""
            text = " and ".join(f'"{name}"' for name in trained.text)
            raise DataError(f"{error}\nIn training the text was {text}{label}") from error
        if len(columns.text) not in numbers:
            raise DataError(
                f"{table.name}: this model was trained on {_counted(trained.text)}, and given are "
                f"{_counted(columns.text)}. Name those meant: data.text={','.join(trained.text)}"
            )
        return columns, (*table.notes, *notes)

    def _run(self, examples: list[Any], fitted: FittedTask | None = None) -> tuple[Outcome, int]:
        if not examples:
            return Outcome([], None), 0
        fitted = fitted or self._encoder.fitted
        sequences = replace(self._encoder, fitted=fitted)(examples)
        num_truncated = len({s.group for s in sequences if s.num_removed})
        self.num_truncated += num_truncated
        return replace(self._predictor, fitted=fitted)(examples, sequences), num_truncated

    num_truncated = 0  # texts cut to the model's length since it was loaded


def load_model(source: Run | str | Path, overrides: Mapping[str, Any] | None = None) -> Model:
    """The model of a run, or of a model folder. Raises ModelError, InputError."""
    folder = source.path if isinstance(source, Run) else Path(source)
    refuse_unusable(folder, "the model")
    if not folder.is_dir():
        raise InputError(
            f"{folder} does not exist or is no folder: give a run folder, or a model folder in one"
        )
    is_model = (folder / METADATA).is_file()
    if (folder / MANIFEST).is_file() or (not is_model and (folder / "model" / METADATA).is_file()):
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
        if section not in ("machine", "task") and (section, key) not in _FREE_TO_CHOOSE
    ]
    resolve(settings)  # an unknown or impossible setting is said first
    if fixed:
        raise ConfigError(f"{fixed[0]} was settled when the model was trained and cannot be changed now")
    return Model(_with_options(load(folder, own), settings.get("task", {})), resolve(settings))


def _with_options(loaded: LoadedModel, options: Mapping[str, Any]) -> LoadedModel:
    """The model with other options of its task, of those that training does not settle."""
    if not options:
        return loaded
    fields_ = type(loaded.fitted.task).Options.model_fields
    free = [key for key, field in fields_.items() if field.json_schema_extra == CHANGEABLE]
    unknown = [key for key in options if key not in fields_]
    if unknown:
        near = did_you_mean(f"task.{unknown[0]}", [f"task.{key}" for key in fields_])
        raise ConfigError(f'there is no setting "task.{unknown[0]}" for this model.{near}')
    fixed = [key for key in options if key not in free]
    if fixed:
        can = f"; {listed([f'task.{key}' for key in free])} can" if free else ""
        raise ConfigError(
            f"task.{fixed[0]} was settled when the model was trained and cannot be changed now{can}"
        )
    name, before = loaded.metadata.task.name, loaded.metadata.task.options
    metadata = replace(loaded.metadata, task=TaskConfig(name=name, **{**before, **options}))
    fitted = make_task(metadata.task).fitted(loaded.fitted.labels).bound(loaded.tokenizer)
    return replace(loaded, fitted=fitted, metadata=metadata)


def _named_file(name: str, given: DataConfig) -> tuple[str, DataConfig, tuple[str, ...]]:
    """The file of a named data set that is for scoring, how it is read, and what must be known of it."""
    defaults = named.defaults(name, to_score=True)
    settings = defaults.settings["data"]
    use = next((use for use in ("test", "validation") if settings.get(use)), None)
    if use is None:
        raise DataError(
            f'the data set "{name}" has neither a test nor a validation file, only one to train on. If you '
            f"mean that, give it: {settings['train']}"
        )
    own = {key: getattr(given, key) for key in given.model_fields_set}
    reading = {key: value for key, value in settings.items() if key not in SPLITS}
    notes = (f"{name}: its {use} file, {settings[use]}", *defaults.notes)
    return settings[use], DataConfig.model_validate({**reading, **own}), notes


def _counted(names: tuple[str, ...]) -> str:
    """So many text columns, and their names."""
    return f"{len(names)} text column{'s' * (len(names) != 1)} ({', '.join(names)})"


_FREE_TO_CHOOSE = {
    ("data", key) for key in ("text", "label", "id", "header", "delimiter", "quoting", "encoding", "reader")
}
