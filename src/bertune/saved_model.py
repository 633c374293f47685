"""The model folder: the Hugging Face layout plus `bertune.json`, written whole and verified when read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertune.config import ModelConfig, TaskConfig
from bertune.errors import ConfigError, ModelError
from bertune.files import disk_errors, remove, sha256_of, sync, temporary_name
from bertune.metadata import FILE, ModelMetadata, verified, write_metadata
from bertune.nn import model as nn_model
from bertune.nn.model import TextModel
from bertune.nn.pretrained import Pretrained
from bertune.registry import exported
from bertune.registry import load as load_registered
from bertune.tasks import FittedTask, Task, make_task
from bertune.tasks.head_spec import HeadSpec
from bertune.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LoadedModel:
    """A model with everything around it."""

    model: TextModel
    tokenizer: Tokenizer
    fitted: FittedTask
    metadata: ModelMetadata


def new_model(pretrained: Pretrained, config: ModelConfig, fitted: FittedTask) -> TextModel:
    """A model to train; its fresh parts are drawn from torch's generator. Raises ModelError, ConfigError."""
    hf_config = nn_model.read_config(pretrained)
    if config.dropout is not None:
        nn_model.set_dropout(hf_config, config.dropout)
    head, labels = fitted.head, fitted.labels
    if head.least_width > hf_config.hidden_size:
        raise ConfigError(
            f"the settings under [task] ask for vectors of {head.least_width:,} numbers, and those of "
            f"model.name={pretrained.name} have {hf_config.hidden_size:,}"
        )
    if config.head != "auto":
        return nn_model.build(pretrained, hf_config, own_head(config.head, head, hf_config))
    hf_config.num_labels = head.num_outputs  # first: it resets the names
    if head.is_named and head.num_outputs == len(labels):
        hf_config.id2label = dict(enumerate(labels))
        hf_config.label2id = {label: number for number, label in enumerate(labels)}
    return nn_model.build(pretrained, hf_config, head)


def own_head(name: str, standard: HeadSpec, hf_config: Any) -> nn.Module:
    """The module that `model.head` names, with the outputs the task needs."""
    make_head: Any = exported(load_registered("head", name), "HEAD")
    if not callable(make_head):
        raise ConfigError(f"model.head={name}: HEAD must be a class or function; it is {make_head!r}")
    head = make_head(hf_config.hidden_size, standard.num_outputs, nn_model.hidden_dropout(hf_config))
    if not isinstance(head, nn.Module):
        raise ConfigError(f"model.head={name}: HEAD must make a torch.nn.Module; it made {head!r}")
    return head


def save(folder: Path, loaded: LoadedModel) -> None:
    """Writes the folder so that it appears whole or not at all. Replaces an older one."""
    if folder.exists() and not (folder / FILE).is_file():
        raise ModelError(
            f"{folder / FILE} is missing: the folder is damaged, or not a model that bertune saved. It was "
            "not replaced. Move the folder away and continue with --resume"
        )
    staging, retired = (
        folder.with_name(temporary_name(name)) for name in (folder.name, f"{folder.name}.old")
    )
    try:
        with disk_errors(folder):
            remove(staging)
            staging.mkdir()
            loaded.model.save(staging)
            loaded.tokenizer.save(staging)
            loaded.fitted.save_extras(staging, loaded.metadata.max_length)
            # Synced before it takes its name: the checkpoints, the only other copy, are removed next.
            write_metadata(staging, loaded.metadata)
            if folder.exists():
                folder.rename(retired)  # never half-removed under its name
            staging.rename(folder)
            if retired.exists():
                _carry_over(retired, folder)
            sync(folder.parent)
    finally:
        remove(staging)
        remove(retired)


def _carry_over(old: Path, new: Path) -> None:
    """Moves what the user put into a model folder to the one that takes its place."""
    for path in list(old.iterdir()):
        if not (new / path.name).exists():
            path.rename(new / path.name)


def load(folder: Path, own: Mapping[str, str] | None = None) -> LoadedModel:
    """A saved model. `own` gives the user's files again where it was made with some (task.name, model.head).

    Raises ModelError when the folder is no model of bertune's, or damaged.
    """
    with verified(folder) as metadata:
        return _load(folder, metadata, own or {})


def _load(folder: Path, metadata: ModelMetadata, own: Mapping[str, str]) -> LoadedModel:
    metadata = replace(
        metadata,
        task=TaskConfig(
            name=_own_file(metadata, metadata.task.name, "task.name", own), **metadata.task.options
        ),
        head=_own_file(metadata, metadata.head, "model.head", own),
        reading=metadata.reading | _own_reader(metadata, own),
    )
    fitted = _task(metadata, folder).fitted(metadata.labels)
    standard = fitted.head
    head: HeadSpec | nn.Module = standard
    if metadata.head != "auto":
        hf_config = nn_model.read_config(Pretrained(str(folder), folder, "pretrained"))
        head = own_head(metadata.head, standard, hf_config)
    with torch.random.fork_rng(devices=[]):
        model = nn_model.load(folder, head)
    outputs = getattr(model.hf.config, "num_labels", None)
    is_counted = standard.num_outputs or "Classification" in standard.auto_class
    if metadata.head == "auto" and is_counted and outputs != standard.num_outputs:
        raise ModelError(
            f"{folder}: the weights have {outputs} outputs, but {FILE} is for {standard.num_outputs}; one of "
            "them belongs to another model. Put back a copy of the folder, or train again"
        )
    limit = nn_model.length_limit(model.encoder.config)
    if limit is not None and metadata.max_length > limit:
        raise ModelError(
            f"{folder / FILE}: max_length is {metadata.max_length:,}, but the model takes up to {limit:,} "
            "tokens; one of them belongs to another model"
        )
    tokenizer = Tokenizer.saved(folder, model.encoder.config.vocab_size)
    return LoadedModel(model, tokenizer, fitted.bound(tokenizer), metadata)


def _task(metadata: ModelMetadata, folder: Path) -> Task:
    if metadata.task.name.endswith(".py"):
        return make_task(metadata.task)
    try:
        return make_task(metadata.task)
    except ConfigError as error:
        raise ModelError(f"{folder / FILE} is damaged: {error}") from error


def _own_file(metadata: ModelMetadata, name: str, key: str, own: Mapping[str, str]) -> str:
    """The name to use. Code that a run folder mentions is never executed until the user names it again."""
    if not name.endswith(".py"):
        return name
    given = own.get(key)
    if given is None:
        raise ModelError(f"this model was made with your own file {name}; name it again: {key}={name}")
    if not Path(given).is_file():
        raise ModelError(f"{key}={given}: there is no such file")
    expected = (metadata.own_files or {}).get(name)
    if expected is not None and sha256_of(Path(given)) != expected:
        raise ModelError(
            f"{key}={given} is not the file this model was made with ({name}): its contents differ"
        )
    return given


def _own_reader(metadata: ModelMetadata, own: Mapping[str, str]) -> dict[str, str]:
    """The reader to use: a file need not be of the training file's kind, so one's own is not asked for."""
    name = metadata.reading.get("reader", "auto")
    given = own.get("data.reader")
    if given is not None and given.endswith(".py"):
        return {"reader": _own_file(metadata, name, "data.reader", own) if name.endswith(".py") else given}
    return {"reader": given or ("auto" if name.endswith(".py") else name)}
