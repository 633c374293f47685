"""Build, save and load models: an encoder with a head, in the Hugging Face layout.

Dimensions: B sequences, L longest sequence, T tokens without padding, H hidden size.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bertune.encoder_config import EncoderConfig
from bertune.errors import ConfigError, ModelError, counted
from bertune.hugging_face import HEAD_FILE, check_weight_files, library_errors, load_config
from bertune.metrics.calibration import OutputScale
from bertune.nn.batch import Batch
from bertune.nn.families import why_not_packed
from bertune.nn.output_scale import output_layer, remove_scale, scaled_state
from bertune.nn.packed import PackedEncoder, full_layer
from bertune.nn.plain import load_plain, new_plain
from bertune.nn.pretrained import Pretrained
from bertune.nn.standard_heads import packed_head, padded_outputs
from bertune.tasks.head_spec import HeadSpec

# Names of hidden and attention dropout in Hugging Face configurations.
_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "seq_classif_dropout",
)


class StandardModel(nn.Module):
    """A Hugging Face model with encoder and head. Runs packed if its family supports it, otherwise padded."""

    def __init__(self, hf: Any) -> None:
        super().__init__()
        self.hf = hf
        self._head = packed_head(hf)
        self.why_padded = why_not_packed(hf) if self._head else "its head does not support packed input"
        self.packed = None
        if self._head is not None and self.why_padded is None:
            self.packed = PackedEncoder(self.encoder, self._head.last_layer)

    def forward(self, batch: Batch) -> Tensor:
        if self.packed is None or self._head is None:
            return self.padded_forward(batch)
        hidden = self.packed(batch).float()
        # In fp32, because outputs rounded to bf16 have ties, which affects ranks and thresholds.
        with torch.autocast(hidden.device.type, enabled=False):
            return self._head.outputs(self.hf, hidden, batch)

    def train(self, mode: bool = True) -> Self:
        """As in torch, but frozen parts stay in evaluation mode, without dropout."""
        super().train(mode)
        if mode:  # with mode=False they already are
            _set_frozen_to_eval(self.encoder)
        return self

    def padded_forward(self, batch: Batch) -> Tensor:
        """The reference implementation of the packed forward pass: that of Hugging Face."""
        return padded_outputs(self.hf, padded_inputs(batch, self.hf.config), batch)

    @property
    def encoder(self) -> Any:
        return self.hf.base_model

    def can_hold(self, scale: OutputScale) -> bool:
        """Whether the output layer can contain a scale."""
        return output_layer(self.hf, scale) is not None

    def save(self, folder: Path, scale: OutputScale | None = None) -> None:
        """Write config.json and model.safetensors, which the Auto class of the model can load.

        `scale` is folded into the saved output layer; this model is not changed.
        """
        layer = None if scale is None else output_layer(self.hf, scale)
        state = None if scale is None or layer is None else scaled_state(self.hf, layer, scale)
        with _quiet_transformers():
            self.hf.save_pretrained(str(folder), state_dict=state)

    def remove_scale(self, scale: OutputScale) -> None:
        """Remove the scale that `save` folded into the output layer."""
        layer = output_layer(self.hf, scale)
        if layer is not None:
            remove_scale(self.hf, layer, scale)


class CustomHeadModel(nn.Module):
    """A Hugging Face encoder with a custom head."""

    def __init__(self, hf: Any, head: nn.Module) -> None:
        super().__init__()
        self.hf = hf
        self.head = head
        self.why_padded = why_not_packed(hf)
        self.packed = None if self.why_padded else PackedEncoder(hf, full_layer)

    def forward(self, batch: Batch) -> Tensor:
        if self.packed is None:
            return self.padded_forward(batch)
        hidden = self.packed(batch).float()
        with torch.autocast(hidden.device.type, enabled=False):
            outputs: Tensor = self.head(hidden, batch)
        return outputs

    def train(self, mode: bool = True) -> Self:
        """As in torch, but frozen parts stay in evaluation mode, without dropout."""
        super().train(mode)
        if mode:  # with mode=False they already are
            _set_frozen_to_eval(self.encoder)
        return self

    def padded_forward(self, batch: Batch) -> Tensor:
        """The reference implementation of the packed forward pass, with the Hugging Face encoder."""
        padded = padded_inputs(batch, self.hf.config)
        hidden_BLH = self.hf(**padded).last_hidden_state
        hidden_TH = hidden_BLH[padded["attention_mask"].bool()]
        outputs: Tensor = self.head(hidden_TH, batch)
        return outputs

    @property
    def encoder(self) -> Any:
        return self.hf

    def can_hold(self, scale: OutputScale) -> bool:
        """False, because the layers of a custom head are unknown."""
        return False

    def remove_scale(self, scale: OutputScale) -> None:
        """Do nothing: no scale was folded in."""

    def save(self, folder: Path, scale: OutputScale | None = None) -> None:
        """Write the encoder in the Hugging Face layout, and the head, without a scale, next to it."""
        with _quiet_transformers():
            self.hf.save_pretrained(str(folder))
        save_file({k: v.contiguous() for k, v in self.head.state_dict().items()}, str(folder / HEAD_FILE))


TextModel = StandardModel | CustomHeadModel


def _set_frozen_to_eval(module: nn.Module) -> None:
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
    else:
        for child in module.children():
            _set_frozen_to_eval(child)


def padded_inputs(batch: Batch, config: Any) -> dict[str, Tensor]:
    """The batch as padded inputs of a Hugging Face model."""
    device = batch.ids_T.device
    longest = int(batch.lengths_S.max())
    mask_BL = (torch.arange(longest)[None, :] < batch.lengths_S[:, None]).to(device)
    ids_BL = torch.full(mask_BL.shape, config.pad_token_id or 0, dtype=torch.int64, device=device)
    ids_BL[mask_BL] = batch.ids_T
    inputs = {"input_ids": ids_BL, "attention_mask": mask_BL.long()}
    if getattr(config, "type_vocab_size", 0) > 1:
        types_BL = torch.zeros_like(ids_BL)
        types_BL[mask_BL] = batch.types_T
        inputs["token_type_ids"] = types_BL
    if batch.words is not None:
        vectors_BLH = batch.words.new_zeros(*mask_BL.shape, batch.words.shape[1])
        vectors_BLH[mask_BL] = batch.words
        del inputs["input_ids"]
        inputs["inputs_embeds"] = vectors_BLH
    return inputs


_POOLED = {"bert", "roberta", "xlm-roberta", "camembert"}


def set_dropout(config: Any, dropout: float) -> None:
    """Set hidden and attention dropout. Raises ConfigError if the architecture has neither setting."""
    present = [name for name in _DROPOUTS if hasattr(config, name)]
    if not present:
        raise ConfigError(f"model.dropout is not supported for {config.model_type}. Remove the setting")
    for name in present:
        setattr(config, name, dropout)


def hidden_dropout(config: Any) -> float:
    """The dropout probability of hidden states."""
    return float(
        next((getattr(config, n) for n in ("hidden_dropout_prob", "dropout") if hasattr(config, n)), 0.0)
    )


def build(
    pretrained: Pretrained, config: Any, head: HeadSpec | nn.Module, is_trained: bool = False
) -> TextModel:
    """Build a model in fp32. Missing weights are drawn from torch's global generator.

    With `is_trained`, missing weights are an error. Raises ModelError.
    """
    import transformers

    auto_class = head.auto_class if isinstance(head, HeadSpec) else "AutoModel"
    if isinstance(head, HeadSpec):
        # Also if None: the value of an earlier task would set another activation.
        config.problem_type = head.problem_type
    auto = getattr(transformers, auto_class)
    # A custom head uses the hidden states: a pooler would be saved but never trained.
    options = (
        {"add_pooling_layer": False} if auto_class == "AutoModel" and config.model_type in _POOLED else {}
    )
    with _quiet_transformers():
        if pretrained.weights == "random":
            with library_errors(f"cannot build a model from {pretrained.folder / 'config.json'}"):
                hf = auto.from_config(config, trust_remote_code=False, **options)
        else:
            hf = _load_weights(auto, pretrained.folder, config, options, is_trained)
    hf = hf.float()
    return StandardModel(hf) if isinstance(head, HeadSpec) else CustomHeadModel(hf, head)


def build_plain(pretrained: Pretrained, config: EncoderConfig, head: HeadSpec) -> TextModel | None:
    """Build a model without transformers, its reference implementation being `build`; None where it cannot.

    Raises ModelError.
    """
    check_weight_files(pretrained.folder)
    config.problem_type = head.problem_type
    if why_not_packed(SimpleNamespace(config=config)) is not None:  # it would need the padded forward pass
        return None
    plain = new_plain(pretrained.folder, config, head.auto_class)
    if plain is None:
        return None
    _refuse_non_finite(plain, pretrained.folder)
    return StandardModel(plain)


def load_for_prediction(folder: Path, head: HeadSpec | nn.Module) -> TextModel:
    """Load a saved model, possibly without a padded forward pass. Raises ModelError, as `load` does."""
    check_weight_files(folder)
    plain = load_plain(folder, head.auto_class) if isinstance(head, HeadSpec) else None
    if plain is None:
        return load(folder, head)
    _refuse_non_finite(plain, folder)
    return StandardModel(plain).eval()


def load(folder: Path, head: HeadSpec | nn.Module) -> TextModel:
    """Load a saved model. Raises ModelError if weights are missing, damaged or of another shape."""
    config = load_config(folder)
    check_weight_files(folder)
    if not (folder / "model.safetensors").is_file() and not any(folder.glob("model-*.safetensors")):
        raise ModelError(f"{folder} has no model.safetensors. Training may not have finished")
    model = build(Pretrained(str(folder), folder, "pretrained"), config, head, is_trained=True)
    if isinstance(model, CustomHeadModel):
        try:
            model.head.load_state_dict(load_file(str(folder / HEAD_FILE)))
            _refuse_non_finite(model.head, folder)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{folder / HEAD_FILE} does not match the head: {error}") from error
    return model.eval()


def _load_weights(auto: Any, folder: Path, config: Any, options: dict[str, Any], is_trained: bool) -> Any:
    check_weight_files(folder)
    with library_errors(f"the weights in {folder} cannot be loaded"):
        hf, info = auto.from_pretrained(
            str(folder),
            config=config,
            use_safetensors=True,
            dtype=torch.float32,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # a head for other labels is replaced; the encoder is checked below
            output_loading_info=True,
            **options,
        )
    mismatched = {key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]}
    absent = {*info["missing_keys"], *mismatched}
    missing = sorted(absent if is_trained else {key for key in absent if _is_in_encoder(key, hf)})
    if missing:
        raise ModelError(
            f"the weights in {folder} are missing or have another shape for "
            f"{counted(len(missing), 'parameter')} of the model, such as {missing[0]}. They are "
            "damaged, or config.json describes another architecture. "
            "Download the folder again, or restore it from a copy"
        )
    _refuse_non_finite(hf, folder)
    return hf


def _refuse_non_finite(module: nn.Module, folder: Path) -> None:
    """Raise ModelError if a weight is NaN or infinite, because the outputs would be too."""
    weights = {name: t for name, t in module.state_dict().items() if t.is_floating_point()}
    # One pass without a temporary tensor: a sum is finite unless a value is not, or the sum overflows.
    sums = [tensor.sum() for tensor in weights.values()]
    if not sums or torch.stack(sums).isfinite().all():
        return
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ModelError(
                f"{folder}: the weight {name} contains NaN or infinite values. Use another copy of the "
                "model, or train it again"
            )


def _is_in_encoder(key: str, hf: Any) -> bool:
    """Whether pretrained weights must contain a parameter: all except those of the pooler and the head."""
    is_bare = hf.base_model is hf
    return (is_bare or key.startswith(hf.base_model_prefix + ".")) and "pooler" not in key.split(".")


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence the messages of transformers about new heads; bertune reports them itself."""
    if "transformers" not in sys.modules:  # then none of its models is used either
        yield
        return
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
