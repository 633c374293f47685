"""Load a trained model from a run or a model folder, with settings that can change after training."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertune.config import AFTER_TRAINING, CHANGEABLE, MachineConfig, TaskConfig
from bertune.cross_validation import is_cross_validation
from bertune.custom_code import saved_fitted, with_custom_code, with_decisions
from bertune.errors import ConfigError, InputError, ModelError, did_you_mean, listed
from bertune.files import as_path, refuse_unusable
from bertune.metadata import FILE as METADATA
from bertune.metadata import ModelMetadata, recorded_metadata, verified
from bertune.optional_packages import needs
from bertune.predict.backend import Backend
from bertune.predict.model import Model
from bertune.run import MANIFEST, Run
from bertune.settings import resolve
from bertune.tasks import FittedTask, make_task
from bertune.tasks.encoder import TextEncoder
from bertune.text.tokenizer import Tokenizer
from bertune.tuning import is_tuning

# Settings for reading the input and for the length of texts, which can differ from training.
_FREE_TO_CHOOSE = {("model", "max_length")} | {
    ("data", key)
    for key in (
        "text",
        "label",
        "id",
        "header",
        "delimiter",
        "quoting",
        "encoding",
        "reader",
        "sheet",
        "decimal",
    )
}


def load_model(source: Run | str | Path, given: Mapping[str, Any] | None = None) -> Model:
    """Load the model of a run or model folder with the settings `given`. Raises ModelError, InputError."""
    folder, settings = model_folder(source), {key: dict(values) for key, values in (given or {}).items()}
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
        if section not in ("machine", "task", *AFTER_TRAINING) and (section, key) not in _FREE_TO_CHOOSE
    ]
    config = resolve(settings)  # first, because it reports unknown settings and invalid values
    if fixed:
        raise ConfigError(
            f"{fixed[0]} was fixed when the model was trained and cannot be changed. Remove the setting"
        )
    opened = _open(folder, own, config.machine)
    fitted, metadata = opened.fitted, opened.metadata
    if settings.get("task"):
        fitted, metadata = _with_options(fitted, metadata, settings["task"])
        fitted = fitted.bound(opened.tokenizer)
    if "max_length" in config.model.model_fields_set:
        metadata = replace(metadata, max_length=_max_length(config.model.max_length, fitted, metadata))
    encoder = TextEncoder(fitted, opened.tokenizer, metadata.max_length)
    return Model(metadata, encoder, opened.backend(fitted), config.data, config.predict.prefix)


@dataclass(frozen=True)
class _Opened:
    """A saved model in the form that both backends share, before settings are applied."""

    metadata: ModelMetadata
    fitted: FittedTask
    tokenizer: Tokenizer
    backend: Callable[[FittedTask], Backend]  # for the task with its settings applied


def _open(folder: Path, own: Mapping[str, str], machine: MachineConfig) -> _Opened:
    """Read a model folder, or an export, which needs no torch. Raises ModelError."""
    recorded = recorded_metadata(folder)
    if recorded is not None and recorded.export is not None and recorded.export.graph is not None:
        return _open_graph(folder, own, machine)
    with needs("torch", f"to use {folder}", "Or export the run on another machine and use the export"):
        from bertune.predict.torch_backend import backend_of
        from bertune.saved_model import load

        loaded = load(folder, own)  # some model families are loaded with transformers
    metadata = loaded.metadata
    return _Opened(
        metadata,
        loaded.fitted,
        loaded.tokenizer,
        lambda fitted: backend_of(replace(loaded, fitted=fitted), machine),
    )


def _open_graph(folder: Path, own: Mapping[str, str], machine: MachineConfig) -> _Opened:
    """Open an exported graph. Raises ModelError, ConfigError."""
    from bertune.predict.graphs import Graph, GraphMachine
    from bertune.predict.onnx_backend import OnnxBackend

    # ONNX Runtime releases the interpreter lock, so the tokenizer and the task are read while it starts.
    with verified(folder) as metadata, ThreadPoolExecutor(max_workers=1) as pool:
        metadata = with_custom_code(metadata, own)
        export = metadata.export
        assert export is not None and export.graph is not None, "checked by the caller"
        path = folder / export.graph
        if not path.is_file():
            raise ModelError(f"{path} is missing. Restore the folder from a copy, or export the run again")
        runs_on = GraphMachine.of(machine, export)
        opening = pool.submit(Graph, path, runs_on)
        tokenizer = Tokenizer.saved(folder, export.vocab_size)
        fitted = saved_fitted(metadata, folder).bound(tokenizer)
        graph = opening.result()
    scale = metadata.output_scale
    return _Opened(
        metadata,
        fitted,
        tokenizer,
        lambda changed: OnnxBackend(graph, export, changed, scale),
    )


def model_folder(source: Run | str | Path) -> Path:
    """The model folder of a run, or the folder itself. Raises InputError."""
    folder = source.path if isinstance(source, Run) else as_path(source, "the run or model")
    refuse_unusable(folder, "the model")
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist or is not a folder. Pass a run folder or a model folder")
    if is_cross_validation(folder):
        raise InputError(
            f"{folder} is a cross-validation, which has a model for each fold. Use the run of a fold, as in "
            f"{folder / 'folds' / 'fold-1'}"
        )
    if is_tuning(folder):
        raise InputError(f"{folder} is a search. Use the run of its best settings, {folder / 'best'}")
    is_model = (folder / METADATA).is_file()
    if (folder / MANIFEST).is_file() or (not is_model and (folder / "model" / METADATA).is_file()):
        return folder / "model"
    return folder


def _max_length(value: int | str, fitted: FittedTask, metadata: ModelMetadata) -> int:
    """The sequence length in tokens for model.max_length=`value`.

    Raises ConfigError if it exceeds the limit of the encoder.
    """
    limit = metadata.length_limit or metadata.max_length
    if value == "auto":
        return min(limit, fitted.auto_length(limit))
    if int(value) > limit:
        raise ConfigError(
            f"model.max_length={value}: the encoder of this model takes at most {limit:,} tokens. Set "
            f"{limit} or less, or model.max_length=auto"
        )
    return int(value)


def _with_options(
    fitted: FittedTask, metadata: ModelMetadata, options: Mapping[str, Any]
) -> tuple[FittedTask, ModelMetadata]:
    """The task with changed options. Raises ConfigError for options that are fixed by training."""
    declared = type(fitted.task).Options.model_fields
    free = [key for key, option in declared.items() if option.json_schema_extra == CHANGEABLE]
    unknown = [key for key in options if key not in declared]
    if unknown:
        near = did_you_mean(f"task.{unknown[0]}", [f"task.{key}" for key in declared])
        raise ConfigError(f'unknown setting "task.{unknown[0]}" for the task of this model.{near}')
    fixed = [key for key in options if key not in free]
    if fixed:
        can = f". Only {listed([f'task.{key}' for key in free])} can be changed" if free else ""
        raise ConfigError(f"task.{fixed[0]} was fixed when the model was trained and cannot be changed{can}")
    changed = replace(
        metadata, task=TaskConfig(name=metadata.task.name, **{**metadata.task.options, **options})
    )
    return with_decisions(make_task(changed.task).fitted(fitted.labels), changed), changed
