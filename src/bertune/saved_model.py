"""Save and load model folders: the Hugging Face layout plus `bertune.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertune.config import ModelConfig
from bertune.custom_code import saved_fitted, with_custom_code
from bertune.encoder_config import read_encoder_config
from bertune.errors import ConfigError, ModelError
from bertune.files import (
    disk_errors,
    give_usual_permissions,
    remove,
    replace_folder,
    sync,
    temporary_name,
)
from bertune.hugging_face import length_limit, load_config, most_tokens
from bertune.metadata import FILE, ModelMetadata, recorded_metadata, verified, write_metadata
from bertune.metrics.calibration import OutputScale
from bertune.nn import model as nn_model
from bertune.nn.model import TextModel
from bertune.nn.plain import class_name
from bertune.nn.pretrained import Pretrained
from bertune.registry import exported
from bertune.registry import load as load_registered
from bertune.tasks import FittedTask
from bertune.tasks.head_spec import HeadSpec
from bertune.text.tokenizer import Tokenizer

# Where sentence-transformers' CrossEncoder looks for the output activation, now and before version 4.
_CROSS_ENCODER_KEYS = ("sentence_transformers", "sbert_ce_default_activation_function")


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer, fitted task and metadata."""

    model: TextModel
    tokenizer: Tokenizer
    fitted: FittedTask
    metadata: ModelMetadata


def new_model(pretrained: Pretrained, config: ModelConfig, fitted: FittedTask) -> TextModel:
    """A model to train; new weights are drawn from torch's generator. Raises ModelError, ConfigError."""
    model, folder = None, pretrained.folder
    plain_config = read_encoder_config(folder) if config.head == "auto" else None
    if plain_config is not None and pretrained.weights != "random":
        earlier = _configure(plain_config, pretrained, config, fitted)
        model = nn_model.build_plain(pretrained, plain_config, fitted.head)
    if model is None:
        hf_config = load_config(folder)
        earlier = _configure(hf_config, pretrained, config, fitted)
        if config.head != "auto":
            return nn_model.build(pretrained, hf_config, own_head(config.head, fitted.head, hf_config))
        model = nn_model.build(pretrained, hf_config, fitted.head)
    recorded = recorded_metadata(folder)
    # A saved output layer is trained further, and the loss expects outputs without the scale.
    if recorded is not None and recorded.output_scale is not None and earlier == [class_name(model.hf)]:
        model.remove_scale(recorded.output_scale)
    return model


def _configure(
    hf_config: Any, pretrained: Pretrained, config: ModelConfig, fitted: FittedTask
) -> list[str] | None:
    """Apply settings and labels to a configuration.

    Returns the architectures that it named before; None if the size of the output layer changes.
    Raises ConfigError.
    """
    size = hf_config.num_labels
    if config.dropout is not None:
        nn_model.set_dropout(hf_config, config.dropout)
    head, labels = fitted.head, fitted.labels
    # Settings that an earlier task saved for other libraries do not apply to this task.
    hf_config.problem_type = None
    for key in _CROSS_ENCODER_KEYS:
        if hasattr(hf_config, key):
            delattr(hf_config, key)
    if head.least_width > hf_config.hidden_size:
        raise ConfigError(
            f"the task settings ask for vectors with {head.least_width:,} dimensions, but those of "
            f"model.name={pretrained.name} have {hf_config.hidden_size:,}. Set at most "
            f"{hf_config.hidden_size}, or use a larger encoder"
        )
    if config.head == "auto":
        hf_config.num_labels = head.num_outputs  # set first, because it resets the label names
        if head.is_named and head.num_outputs == len(labels):
            hf_config.id2label = dict(enumerate(labels))
            hf_config.label2id = {label: number for number, label in enumerate(labels)}
        if head.activation is not None:
            hf_config.sentence_transformers = {"activation_fn": f"torch.nn.{head.activation}"}
    earlier: list[str] | None = hf_config.architectures
    return earlier if hf_config.num_labels == size else None


def own_head(name: str, standard: HeadSpec, hf_config: Any) -> nn.Module:
    """The module named by `model.head`, with the number of outputs of the task. Raises ConfigError."""
    make_head: Any = exported(load_registered("head", name), "HEAD")
    if not callable(make_head):
        raise ConfigError(f"model.head={name}: HEAD must be a class or function, got {make_head!r}")
    head = make_head(hf_config.hidden_size, standard.num_outputs, nn_model.hidden_dropout(hf_config))
    if not isinstance(head, nn.Module):
        raise ConfigError(f"model.head={name}: HEAD must return a torch.nn.Module, got {head!r}")
    return head


def save(folder: Path, loaded: LoadedModel) -> None:
    """Write a model folder atomically, replacing an older one. Raises ModelError."""
    if folder.exists() and not (folder / FILE).is_file():
        raise ModelError(
            f"{folder / FILE} is missing: the folder is damaged, or not a model that bertune saved. It was "
            "not replaced. Move the folder away and continue with --resume"
        )
    staging = folder.with_name(temporary_name(folder.name))
    try:
        with disk_errors(folder):
            remove(staging)
            staging.mkdir()
            scale = _output_scale(loaded)
            metadata = replace(loaded.metadata, output_scale=scale)
            loaded.model.save(staging, scale)
            loaded.tokenizer.save(staging, metadata.max_length)
            loaded.fitted.save_extras(staging, metadata.max_length)
            give_usual_permissions(staging)
            # Sync before renaming, because the checkpoints, the only other copy, are removed next.
            write_metadata(staging, metadata)
            retired = replace_folder(staging, folder)
            if retired is not None:
                _carry_over(retired, folder)
                sync(folder.parent)
                remove(retired)
    finally:
        remove(staging)


def _output_scale(loaded: LoadedModel) -> OutputScale | None:
    """The scale to fold into the output layer; None if there is none, or the layer cannot contain it."""
    fitted, scale = loaded.fitted, None
    if fitted.output_scale is not None:
        offset, factor = fitted.output_scale
        scale = OutputScale(offset, (factor,))
    elif fitted.calibration is not None:
        scale = OutputScale.of(fitted.calibration)
    return scale if scale is not None and loaded.model.can_hold(scale) else None


def _carry_over(old: Path, new: Path) -> None:
    """Move files that the user added to the old model folder to the new one."""
    for path in list(old.iterdir()):
        if not (new / path.name).exists():
            path.rename(new / path.name)


def load(folder: Path, own: Mapping[str, str] | None = None) -> LoadedModel:
    """Load a saved model. `own` names the user's files by setting, if the model was trained with custom code.

    The settings are task.name, model.head and data.reader. Raises ModelError if the folder is damaged or was
    not saved by bertune.
    """
    with verified(folder) as metadata:
        return _load(folder, metadata, own or {})


def _load(folder: Path, metadata: ModelMetadata, own: Mapping[str, str]) -> LoadedModel:
    metadata = with_custom_code(metadata, own)
    fitted = saved_fitted(metadata, folder)
    standard = fitted.head
    head: HeadSpec | nn.Module = standard
    if metadata.head != "auto":
        hf_config = load_config(folder)
        head = own_head(metadata.head, standard, hf_config)
    with torch.random.fork_rng(devices=[]):
        model = nn_model.load_for_prediction(folder, head)
    outputs = getattr(model.hf.config, "num_labels", None)
    is_counted = standard.num_outputs or "Classification" in standard.auto_class
    if metadata.head == "auto" and is_counted and outputs != standard.num_outputs:
        raise ModelError(
            f"{folder}: the weights have {outputs} outputs, but {FILE} expects {standard.num_outputs}; one "
            "of them belongs to another model. Restore the folder from a copy, or train again"
        )
    limit = length_limit(model.encoder.config)
    if limit is not None and metadata.max_length > limit:
        raise ModelError(
            f"{folder / FILE}: max_length is {metadata.max_length:,}, but the maximum of the model is "
            f"{limit:,} tokens; one of them belongs to another model. Restore the folder from a copy, or "
            "train again"
        )
    tokenizer = Tokenizer.saved(folder, model.encoder.config.vocab_size)
    if metadata.output_scale is not None:
        model.remove_scale(metadata.output_scale)  # decoding applies it, in fp64
    # Formats up to 3 do not record the limit, but their tokenizers still have it.
    known = metadata.length_limit or max(tokenizer.max_length, metadata.max_length)
    metadata = replace(metadata, length_limit=most_tokens(model.encoder.config, known))
    return LoadedModel(model, tokenizer, fitted.bound(tokenizer), metadata)
