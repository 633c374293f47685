"""The export formats: their files, and the default limits on differences from the trained model."""

from collections.abc import Mapping
from dataclasses import dataclass

from bertune.config import ExportConfig
from bertune.errors import ConfigError, did_you_mean, listed


@dataclass(frozen=True)
class Tolerance:
    """The largest differences from the trained model at which an export is accepted."""

    difference: float  # in a probability or another number; relative for numbers above 1
    flips: float  # share of rows whose label, entities or answer differ
    score_loss: float  # of the primary score; relative for scores above 1


@dataclass(frozen=True)
class Format:
    """An export format."""

    description: str
    graph: str | None  # path of the graph in the export; None for weights alone
    tolerance: Tolerance


# Probabilities in fp32 agree to about 1e-6; the limits leave room for other processors. Quantization changes
# the probabilities of a few uncertain texts by much more than any score, so flips and scores limit it.
FORMATS: Mapping[str, Format] = {
    "onnx": Format("ONNX graph in fp32", "onnx/model.onnx", Tolerance(1e-4, 0.0, 1e-4)),
    "onnx-int8": Format(
        "ONNX graph in int8: a scale per output channel for weights, per token for activations",
        "onnx/model_quantized.onnx",
        Tolerance(0.5, 0.02, 0.01),
    ),
    "onnx-fp16": Format(
        "ONNX graph with fp16 weights and activations", "onnx/model_fp16.onnx", Tolerance(0.02, 0.005, 0.005)
    ),
    "safetensors": Format("fp32 weights for torch and transformers", None, Tolerance(1e-4, 0.0, 1e-4)),
    "safetensors-bf16": Format(
        "bf16 weights for torch and transformers, half the size", None, Tolerance(0.1, 0.01, 0.01)
    ),
}


def format_named(name: str) -> Format:
    """The format with this name. Raises ConfigError."""
    if name not in FORMATS:
        raise ConfigError(
            f'unknown export format "{name}".{did_you_mean(name, FORMATS)} Formats: {listed(list(FORMATS))}'
        )
    return FORMATS[name]


def tolerance_of(name: str, config: ExportConfig) -> Tolerance:
    """The tolerance of a format, with the settings that are not auto."""
    usual = format_named(name).tolerance

    def chosen(setting: float | str, default: float) -> float:
        return default if isinstance(setting, str) else setting

    return Tolerance(
        chosen(config.max_difference, usual.difference),
        chosen(config.max_flips, usual.flips),
        chosen(config.max_score_loss, usual.score_loss),
    )
