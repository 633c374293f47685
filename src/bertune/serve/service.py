"""The served models: texts in, predictions out, within the limits of the service."""

import asyncio
import time
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import Any

from bertune.allocator import release_memory
from bertune.config import ServeConfig
from bertune.errors import did_you_mean, listed
from bertune.predict.model import Model
from bertune.predict.predictor import Decode, ReadableRows, plain
from bertune.serve.batcher import Batcher
from bertune.serve.drift import Drift
from bertune.serve.explaining import Explanations
from bertune.serve.files import FileJobs
from bertune.serve.metrics import Metrics
from bertune.serve.refusals import Invalid, NotFound, TooLarge, TooLong, Unavailable
from bertune.tasks import Output

# Work of less than about 2 ms is done in the event loop, because handing it to a thread takes 0.1 ms.
_FEW_CHARACTERS = 4000
_FEW_SEQUENCES = 16
# Tokenizing takes about 100 bytes per character. Requests with more characters are tokenized one at a time:
# together, they could use up the memory.
_MANY_CHARACTERS = 200_000
_DEEPEST = 8  # nested lists and objects of an item; no task reads more than 3
_MOST_FOR_DRIFT = 32  # predictions of a request that are counted for the drift


@dataclass(frozen=True)
class ModelFacts:
    """The public description of a served model."""

    task: str  # such as "classification", or the path of a user's task.py
    noun: str  # what the task calls a row: text, question, pair
    labels: tuple[str, ...]  # in the order of the outputs; empty if the task has no labels
    text_columns: tuple[str, ...]  # the texts of a row, in order
    can: frozenset[str]  # the fields of a prediction, label_probabilities and vectors, as in `Service.find`
    max_length: int  # tokens at which a text is refused, truncated or split into windows
    format: str  # "run" for a trained model, or the format of an export, such as "onnx-int8"
    backend: str  # "torch" or "onnx"
    precision: str  # "fp32", "bf16" or "int8"
    weights_sha256: str
    created: int  # seconds since 1970: when the weights were written
    pooling: str | None = None  # how vectors are pooled: "mean" or "cls"; None without vectors
    vector_size: int | None = None  # None without vectors

    @cached_property
    def offered(self) -> frozenset[str]:
        """The fields that describe a prediction. A score next to other fields belongs to them."""
        fields = self.can - {"label_probabilities"}
        return fields - {"score"} if len(fields) > 1 else fields

    def plain(self) -> dict[str, Any]:
        """The facts as plain JSON."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "can": sorted(self.can),
        }


@dataclass(frozen=True)
class ServedModel:
    """A model under its name, with the queue of its requests."""

    name: str
    model: Model
    facts: ModelFacts
    batcher: Batcher
    drift: Drift
    metrics: Metrics
    config: ServeConfig
    _reader: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="bertune-read"), repr=False
    )

    async def predict(
        self, items: SequenceOf[Any], *, truncate: bool = False, decode: Decode | None = None
    ) -> list[Any]:
        """The prediction for each item, in order; none is None.

        An item is a text, a tuple or list of texts if the model takes several, or a mapping from column names
        to values; all items have the same form. With `truncate`, longer texts than the model takes are
        truncated. `decode` overrides the `decode` of the task, as in `Model.decode`. If the caller is
        cancelled, the remaining sequences are not computed.

        Raises Invalid for an item that is blank or cannot be read, TooLong for an item that is too long, both
        with the number of the item from 1; TooLarge for too many items; Overloaded, Unavailable, and other
        errors of the model.
        """
        items = list(items)
        most = self.config.max_texts
        if len(items) > most:
            raise TooLarge(
                f"the request has {len(items):,} texts, but at most {most:,} are allowed. Split it into "
                "several requests"
            )
        if not items:
            return []
        deadline = asyncio.get_running_loop().time() + self.config.timeout
        try:
            read = await self.read(items, truncate, deadline)
            outputs = await self.batcher.compute(read.sequences, deadline)
            if len(outputs) <= _FEW_SEQUENCES:
                found = self.model.decode(read, outputs, decode)
                self.metrics.bookkeeping.add(partial(self._record, found, read, outputs, decode))
                return found
            async with asyncio.timeout_at(deadline):
                return await asyncio.to_thread(self._decoded_and_recorded, read, outputs, decode)
        except TimeoutError as error:
            raise Unavailable(
                f"not computed within {self.config.timeout:g} seconds (serve.timeout). Try again later"
            ) from error

    async def read(self, items: list[Any], truncate: bool, deadline: float | None = None) -> ReadableRows:
        """The items, tokenized.

        Raises Invalid and TooLarge, as `predict` does, and TimeoutError at the deadline, a time of the event
        loop.
        """
        characters = sum(map(_size, items))
        if characters <= _FEW_CHARACTERS:
            read = self.model.tokenize(items)
        else:  # a time limit takes longer than tokenizing a few characters
            async with asyncio.timeout_at(deadline):
                read = await self._read_in_thread(items, characters)
        self._refuse_unreadable(read)
        if not truncate:
            self._refuse_truncated(read)
        return read

    async def _read_in_thread(self, items: list[Any], characters: int) -> ReadableRows:
        if characters <= _MANY_CHARACTERS:
            return await asyncio.to_thread(self.model.tokenize, items)
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read_many, items)

    def _read_many(self, items: list[Any]) -> ReadableRows:
        read = self.model.tokenize(items)
        release_memory()
        return read

    def close(self) -> None:
        """Stop after the batch that is being computed."""
        self._reader.shutdown(wait=False, cancel_futures=True)
        self.batcher.close()

    def _decoded_and_recorded(
        self, read: ReadableRows, outputs: list[Output], decode: Decode | None
    ) -> list[Any]:
        found = self.model.decode(read, outputs, decode)
        self._record(found, read, outputs, decode)
        return found

    def _record(
        self, found: list[Any], read: ReadableRows, outputs: list[Output], decode: Decode | None
    ) -> None:
        """Count predictions, the first of which also for the drift."""
        self.metrics.predicted(self.name, len(found))
        if decode is None:
            self.count_decisions(found)
        few, few_outputs = _first(read, outputs, _MOST_FOR_DRIFT)
        if decode is None:
            predictions = found[: len(few.examples)]
        elif self.drift.reads(self.facts.can):
            predictions = self.model.decode(few, few_outputs)
        else:
            predictions = [None] * len(few.examples)
        self.drift.add(predictions, few.sequences)

    def count_decisions(self, predictions: SequenceOf[Any]) -> None:
        """Count how many predictions are marked for review, if the model has a decision rule."""
        decisions = [getattr(prediction, "decision", None) for prediction in predictions]
        self.metrics.decided(self.name, [decision for decision in decisions if decision is not None])

    def _refuse_unreadable(self, read: ReadableRows) -> None:
        count = len(read.is_readable)
        for position, is_readable in enumerate(read.is_readable):
            if is_readable:
                continue
            error = read.errors.get(position)
            what = "is blank" if error is None else f"cannot be predicted: {error}"
            raise Invalid(f"{_named(position, count, self.facts.noun)} {what}")

    def _refuse_truncated(self, read: ReadableRows) -> None:
        for sequence in read.sequences:
            if sequence.num_removed:
                tokens = len(sequence) + sequence.num_removed
                raise TooLong(
                    f"{_named(sequence.group, len(read.examples), self.facts.noun)} has {tokens:,} tokens, "
                    f"but this model reads at most {self.facts.max_length:,}. Shorten it, or set truncate to "
                    "true"
                )


@dataclass(frozen=True)
class Service:
    """The models of a service by name, and its settings."""

    models: Mapping[str, ServedModel]
    config: ServeConfig
    metrics: Metrics
    fallback: str | None = None  # URL of a System One service for requests that no model here answers
    token: str | None = field(default=None, repr=False)  # bearer token that requests must have
    started: float = field(default_factory=time.time)  # seconds since 1970
    jobs: FileJobs = field(default_factory=FileJobs, repr=False)
    explanations: Explanations = field(default_factory=Explanations, repr=False)

    def close(self) -> None:
        """Stop the threads of all models, and remove the files of all jobs."""
        self.metrics.bookkeeping.settle()
        self.jobs.close()
        self.explanations.close()
        for served in self.models.values():
            served.close()

    def find(self, name: str | None, *, wants: str | None = None) -> ServedModel:
        """The model with a name, or without one the first that can do what the caller `wants`.

        `wants` is a field of the task's Prediction, such as "label", "spans" or "answer";
        "label_probabilities" for tasks with `decode_probabilities`; "vectors" for tasks with `decode_vector`;
        None accepts every model. Raises NotFound for an unknown name, with the known names, and if neither
        the named model nor any other can do it.
        """
        if name is not None and name not in self.models:
            raise NotFound(
                f'there is no model "{name}".{did_you_mean(name, self.models)} Models: '
                f"{listed(list(self.models))}"
            )
        candidates = list(self.models.values()) if name is None else [self.models[name]]
        for served in candidates:
            if wants is None or wants in served.facts.can:
                return served
        if name is None:
            raise NotFound(f"no served model predicts {wants}")
        task = candidates[0].facts.task
        raise NotFound(f'the model "{name}", trained for {task}, does not predict {wants}')


def plain_predictions(predictions: SequenceOf[Any]) -> list[dict[str, Any]]:
    """Predictions as plain JSON."""
    return [plain(prediction) for prediction in predictions]


def _first(read: ReadableRows, outputs: list[Output], most: int) -> tuple[ReadableRows, list[Output]]:
    """The first examples of a request in which every row is readable, with their outputs."""
    if len(read.examples) <= most:
        return read, outputs
    pairs = [(s, output) for s, output in zip(read.sequences, outputs, strict=True) if s.group < most]
    sequences = [sequence for sequence, _ in pairs]
    few = ReadableRows(read.examples[:most], sequences, [True] * most, most, 0, {})
    return few, [output for _, output in pairs]


def _size(item: Any, depth: int = 0) -> int:
    """The number of characters of an item, roughly. Raises Invalid for nested lists that no task reads."""
    if isinstance(item, str):
        return len(item)
    if not isinstance(item, Mapping | list | tuple):
        return 1
    if depth == _DEEPEST:
        raise Invalid(f"an item has lists or objects nested more than {_DEEPEST} levels deep")
    return sum(_size(part, depth + 1) for part in (item.values() if isinstance(item, Mapping) else item))


def _named(position: int, count: int, noun: str) -> str:
    """How an error names an item of a request."""
    return f"the {noun}" if count == 1 else f"{noun} {position + 1} of {count:,}"
