"""Owns the model folder: the Hugging Face layout plus bertune.json, all that prediction needs to know."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertune.config import ModelConfig, TaskConfig
from bertune.data.columns import Columns
from bertune.errors import ConfigError, ModelError
from bertune.nn import model as nn_model
from bertune.nn.heads import StandardHead
from bertune.nn.model import TextModel
from bertune.nn.pretrained import Pretrained
from bertune.registry import exported
from bertune.registry import load as load_registered
from bertune.run import disk_errors
from bertune.tasks import Labels, Task, make_task
from bertune.text.tokenizer import Tokenizer

FORMAT = 1
FILE = "bertune.json"


@dataclass(frozen=True)
class Contract:
    """What texts a model takes and what its outputs mean."""

    task: TaskConfig
    labels: Labels
    max_length: int
    columns: Columns  # as in the training file; used again where a file has the same
    reading: dict[str, Any]  # how the training file was read, and its suffix: used again for files like it
    head: str = "auto"
    precision: str = "auto"  # what machine.precision was, and is where it is not given again
    own_files: dict[str, str] | None = None  # sha256 by path of the user's own task, head and reader


@dataclass(frozen=True)
class LoadedModel:
    """A model with everything around it."""

    model: TextModel
    tokenizer: Tokenizer
    task: Task
    contract: Contract

    @property
    def labels(self) -> Labels:
        return self.contract.labels


def new_model(pretrained: Pretrained, config: ModelConfig, task: Task, labels: Labels) -> TextModel:
    """A model to train; its fresh parts are drawn from torch's generator. Raises ModelError, ConfigError."""
    hf_config = nn_model.read_config(pretrained)
    if config.dropout is not None:
        nn_model.set_dropout(hf_config, config.dropout)
    head = task.head(labels)
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


def own_head(name: str, standard: StandardHead, hf_config: Any) -> nn.Module:
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
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        with disk_errors(folder):
            staging.mkdir()
            loaded.model.save(staging)
            loaded.tokenizer.save(staging)
            loaded.task.also_save(staging, loaded.contract.max_length)
            (staging / FILE).write_text(_to_json(loaded.contract), encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load(folder: Path, own: Mapping[str, str] | None = None) -> LoadedModel:
    """A saved model. `own` gives the user's files again where it was made with some (task.name, model.head).

    Raises ModelError when the folder is no model of bertune's, or damaged.
    """
    contract = read_contract(folder)
    own = own or {}
    contract = replace(
        contract,
        task=TaskConfig(
            name=_own_file(contract, contract.task.name, "task.name", own), **contract.task.options
        ),
        head=_own_file(contract, contract.head, "model.head", own),
        reading=contract.reading | _own_reader(contract, own),
    )
    task = make_task(contract.task)
    standard = task.head(contract.labels)
    head: StandardHead | nn.Module = standard
    if contract.head != "auto":
        hf_config = nn_model.read_config(Pretrained(str(folder), folder, "pretrained"))
        head = own_head(contract.head, standard, hf_config)
    with torch.random.fork_rng(devices=[]):
        model = nn_model.load(folder, head)
    return LoadedModel(model, Tokenizer(folder), task, contract)


def own_files(*names: str) -> dict[str, str]:
    """sha256 of the user's own code files among `names`, so that another version is noticed."""
    return {name: _sha256(Path(name)) for name in names if name.endswith(".py")}


def read_contract(folder: Path) -> Contract:
    """The contract of a saved model. Raises ModelError."""
    path = folder / FILE
    if not path.is_file():
        raise ModelError(f"{folder} has no {FILE}: give a run folder, or a model folder that bertune saved")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] > FORMAT:
            raise ModelError(
                f"{folder} has format {stored['format']}; this bertune reads up to {FORMAT}: upgrade it"
            )
        return Contract(
            task=TaskConfig(**stored["task"]),
            labels=tuple(stored["labels"]),
            max_length=stored["max_length"],
            columns=Columns(
                tuple(stored["columns"]["text"]), stored["columns"]["label"], stored["columns"]["id"]
            ),
            reading=stored["reading"],
            head=stored["head"],
            precision=stored.get("precision", "auto"),
            own_files=stored["own_files"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: {error!r}") from error


def _to_json(contract: Contract) -> str:
    columns = contract.columns
    stored = {
        "format": FORMAT,
        "task": {"name": contract.task.name, **contract.task.options},
        "labels": list(contract.labels),
        "max_length": contract.max_length,
        "columns": {"text": list(columns.text), "label": columns.label, "id": columns.id},
        "reading": contract.reading,
        "head": contract.head,
        "precision": contract.precision,
        "own_files": contract.own_files or {},
    }
    return json.dumps(stored, indent=2, ensure_ascii=False) + "\n"


def _own_file(contract: Contract, name: str, key: str, own: Mapping[str, str]) -> str:
    """The name to use. Code that a run folder mentions is never executed until the user names it again."""
    if not name.endswith(".py"):
        return name
    given = own.get(key)
    if given is None:
        raise ModelError(f"this model was made with your own file {name}; name it again: {key}={name}")
    if not Path(given).is_file():
        raise ModelError(f"{key}={given}: there is no such file")
    expected = (contract.own_files or {}).get(name)
    if expected is not None and _sha256(Path(given)) != expected:
        raise ModelError(
            f"{key}={given} is not the file this model was made with ({name}): its contents differ"
        )
    return given


def _own_reader(contract: Contract, own: Mapping[str, str]) -> dict[str, str]:
    """The reader to use: a file need not be of the training file's kind, so one's own is not asked for."""
    name = contract.reading.get("reader", "auto")
    given = own.get("data.reader")
    if given is not None and given.endswith(".py"):
        return {"reader": _own_file(contract, name, "data.reader", own) if name.endswith(".py") else given}
    return {"reader": given or ("auto" if name.endswith(".py") else name)}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
