"""Open the models of a service, each with the fastest of the backends that could serve it."""

import logging
import os
import time
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertune.config import Config, ServeConfig
from bertune.errors import ConfigError, ModelError
from bertune.files import sha256_of, shell_word
from bertune.metadata import FILE, recorded_metadata
from bertune.optional_packages import is_installed, needs
from bertune.predict.loading import load_model
from bertune.predict.model import Model
from bertune.serve.batcher import Batcher
from bertune.serve.drift import Drift
from bertune.serve.logs import LOGGER, event
from bertune.serve.measuring import Speed, measure
from bertune.serve.metrics import Metrics
from bertune.serve.parallel import ComputeThreads, concurrent
from bertune.serve.reference import Reference, read_reference
from bertune.serve.schedule import Schedule
from bertune.serve.service import ModelFacts, ServedModel
from bertune.serve.sources import Source, exports_of, is_trained, weights_sha256

_LOG = logging.getLogger(LOGGER)
_SECONDS = 1.0  # to measure each of several candidates
_SECONDS_ALONE = 0.3  # to measure the only candidate, so that it can answer soon
# Results of lower precision differ slightly, so it is only used where it is faster by at least this factor.
_WORTHWHILE = 1.1
# A request that would wait for a larger part of serve.timeout is refused at once. Under overload, requests
# would otherwise wait until the limit, and many would be refused after some of their texts were computed.
_PATIENCE = 0.5
_PRECISIONS = ("fp32", "bf16", "fp16", "int8")  # most exact first


@dataclass(frozen=True)
class Candidate:
    """A loaded model that could answer, and its speed here."""

    format: str  # run, pretrained, or that of an export
    folder: Path | None  # None for a pretrained encoder
    model: Model
    calls: int  # batches that it computes at the same time
    speed: Speed


def open_models(
    sources: SequenceOf[Source],
    config: Config,
    given: Mapping[str, Any],
    metrics: Metrics,
    threads: ComputeThreads,
) -> dict[str, ServedModel]:
    """The models by name, loaded, measured and warm. `config` was resolved from the settings `given`.

    Called in `threads.single`. Raises InputError and MissingPackageError.
    """
    settings = {section: values for section, values in given.items() if section != "serve"}
    opened = {source.name: _open(source, config, settings, threads) for source in sources}
    return {name: _served(name, *found, config.serve, metrics, threads) for name, found in opened.items()}


def _open(
    source: Source, config: Config, settings: Mapping[str, Any], threads: ComputeThreads
) -> tuple[Candidate, Reference]:
    """The fastest candidate for a source, and the reference of its training."""
    if not is_trained(source.place):
        return _open_untuned(source, config, threads)
    folder = Path(source.place)
    places = _places(folder, config.serve.backend)
    seconds = _SECONDS if len(places) > 1 else _SECONDS_ALONE
    best: Candidate | None = None
    reference: Reference | None = None
    for place in places:
        model = load_model(place, settings)
        reference = reference or read_reference(folder, model)
        how = _Measuring(source.name, config.serve, threads, seconds)
        candidate = _measured(place, model, reference, how)
        best = candidate if best is None else faster(best, candidate)
    assert best is not None and reference is not None, "there is at least one place"
    return best, reference


def _open_untuned(source: Source, config: Config, threads: ComputeThreads) -> tuple[Candidate, Reference]:
    with needs("torch", f"to serve {source.place}", "Serve an export instead"):
        from bertune.serve.untuned import load_untuned
    try:
        model = load_untuned(source.place, config)
    except ModelError as error:
        raise ModelError(
            f"{source.place} is not a run or an export, and cannot be loaded as a pretrained encoder: {error}"
        ) from error
    reference = read_reference(Path(source.place), model)
    how = _Measuring(source.name, config.serve, threads, _SECONDS_ALONE)
    return _measured(None, model, reference, how), reference


def _places(folder: Path, backend: str) -> list[Path]:
    """The folders from which a model can be loaded, for the backend in the settings. Raises ConfigError."""
    metadata = recorded_metadata(folder)
    if metadata is not None and metadata.export is not None:
        is_graph = metadata.export.graph is not None
        if backend != "auto" and (backend == "onnx") != is_graph:
            what = "an ONNX graph" if is_graph else "weights for torch"
            raise ConfigError(f"serve.backend={backend}: {folder} contains {what}. Remove the setting")
        return [folder]
    exports = list(exports_of(folder)) if backend != "torch" else []
    if backend == "onnx" and not exports:
        raise ConfigError(
            f"serve.backend=onnx: {folder} has no ONNX export of its current weights. Create one with: "
            f"bertune export {shell_word(folder)}"
        )
    if backend == "onnx" or (exports and not is_installed("torch")):
        return exports
    if not is_installed("onnxruntime"):
        exports = []
    return [*exports, folder]


@dataclass(frozen=True)
class _Measuring:
    """How the candidates for a model are measured."""

    name: str  # of the model
    config: ServeConfig
    threads: ComputeThreads
    seconds: float


def _measured(folder: Path | None, model: Model, reference: Reference, how: _Measuring) -> Candidate:
    """Measure a model on samples, which also warms it up, and log the result."""
    backend, calls = concurrent(model.backend, how.threads)
    model = model.with_backend(backend)
    runtime, config = backend.runtime, how.config
    most = runtime.micro_batch_tokens if config.max_batch_tokens == "auto" else int(config.max_batch_tokens)
    speed = measure(backend, reference.samples, most, how.seconds, calls)
    if config.max_batch_tokens != "auto":
        speed = replace(speed, batch_tokens=most)
    export = model.metadata.export
    kind = "pretrained" if folder is None else "run" if export is None else export.format
    event(
        _LOG, logging.INFO, "measured", model=how.name, format=kind, backend=runtime.name,
        precision=runtime.precision, milliseconds_per_text=round(1000 * speed.single_seconds, 2),
        texts_per_second=round(speed.sequences_per_second, 1), batch_tokens=speed.batch_tokens,
        tokens_per_text=speed.sample_tokens, batches_at_a_time=calls,
    )  # fmt: skip
    return Candidate(kind, folder, model, calls, speed)


def faster(first: Candidate, second: Candidate) -> Candidate:
    """The faster of two candidates. One of lower precision must be faster by a margin."""
    exact, other = sorted((first, second), key=lambda candidate: _exactness(candidate.model))
    margin = 1.0 if _exactness(exact.model) == _exactness(other.model) else _WORTHWHILE
    return (
        other if other.speed.costs.tokens_per_second > margin * exact.speed.costs.tokens_per_second else exact
    )


def _exactness(model: Model) -> int:
    """The position of a precision in _PRECISIONS; unknown ones come last."""
    precision = model.backend.runtime.precision
    return _PRECISIONS.index(precision) if precision in _PRECISIONS else len(_PRECISIONS)


def _served(
    name: str,
    candidate: Candidate,
    reference: Reference,
    config: ServeConfig,
    metrics: Metrics,
    threads: ComputeThreads,
) -> ServedModel:
    model, speed = candidate.model, candidate.speed
    schedule = Schedule(speed.batch_tokens, speed.costs, candidate.calls)
    max_wait = _PATIENCE * config.timeout
    thread = threads.single if candidate.calls == 1 else threads.several
    batcher = Batcher(model.backend, schedule, config.max_queued_tokens, thread, max_wait)
    drift = Drift(model.tokenizer.unknown_id, reference.profile)
    metrics.watch(name, batcher, drift)
    facts = _facts(candidate, config)
    event(
        _LOG, logging.INFO, "serving", model=name, task=facts.task, format=facts.format,
        backend=facts.backend, precision=facts.precision,
    )  # fmt: skip
    return ServedModel(name, model, facts, batcher, drift, metrics, config)


def _facts(candidate: Candidate, config: ServeConfig) -> ModelFacts:
    """The public description of a model."""
    model, folder = candidate.model, candidate.folder
    metadata, fitted, runtime = model.metadata, model.fitted, model.backend.runtime
    can = set(fitted.prediction_fields)
    can |= {"label_probabilities"} if fitted.has_probabilities else set()
    can |= {"vectors"} if fitted.has_vectors else set()
    pooling = size = None
    if "vectors" in can:
        pooling = config.pooling if folder is None else "mean"
        size = int(model.encode(["text"]).shape[1])
    return ModelFacts(
        task=metadata.task.name,
        noun=str(fitted.task.noun),
        labels=model.labels,
        text_columns=metadata.columns.text,
        can=frozenset(can),
        max_length=model.max_length,
        format=candidate.format,
        backend=runtime.name,
        precision=runtime.precision,
        weights_sha256=_weights_of(model, folder),
        created=int(time.time() if folder is None else os.stat(folder).st_mtime),
        pooling=pooling,
        vector_size=size,
    )


def _weights_of(model: Model, folder: Path | None) -> str:
    """The sha256 of the weights of a model, in the form that exports record."""
    if model.metadata.export is not None:
        return model.metadata.export.weights_sha256
    where = model.tokenizer.folder if folder is None else folder
    inside = where / "model" if (where / "model" / FILE).is_file() else where
    if (inside / FILE).is_file():
        return weights_sha256(inside)
    return sha256_of(inside / "model.safetensors") if (inside / "model.safetensors").is_file() else ""
