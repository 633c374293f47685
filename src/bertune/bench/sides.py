"""Builds the contestants: the command line of each program."""

import sys
from pathlib import Path

from bertune.bench.runner import Contestant

OURS, PEAKS = "bertune", "peaks"

_TITLES = {
    "tutorial": "HF Trainer, tutorial",
    "documentation": "HF Trainer, documentation",
    "best": "HF Trainer, best",
    "compile": "HF Trainer, best, compiled",
}


def _peer(module: str, job: Path, *options: str) -> tuple[str, ...]:
    program = f"bertune.bench.peers.{module}"
    return (sys.executable, "-m", program, str(job), "--seed", "{round}", *options)


def trainer(job: Path, way: str, most_rounds: int | None = None) -> Contestant:
    """The Hugging Face Trainer in one of the configurations of `peers.trainer`."""
    return Contestant(way, _TITLES[way], _peer("trainer", job, "--way", way), most_rounds)


def cross_encoder(job: Path, precision: str, most_rounds: int | None = None) -> Contestant:
    """sentence-transformers' CrossEncoderTrainer."""
    command = _peer("cross_encoder", job, "--precision", precision)
    return Contestant(f"cross_encoder_{precision}", f"CrossEncoderTrainer, {precision}", command, most_rounds)


def bertune_training(job: Path) -> Contestant:
    """Training with bertune."""
    return Contestant(OURS, "bertune", _peer("bertune_train", job))


def peaks(job: Path, tokens: int) -> Contestant:
    """The peak rates of the machine, for steps of this number of tokens."""
    return Contestant(PEAKS, "the machine's peaks", _peer("limits", job, "--tokens", str(tokens)))


def pipeline(job: Path, batch: int) -> Contestant:
    """transformers.pipeline, one text at a time or in batches."""
    title = "pipeline, one by one" if batch == 1 else f"pipeline, batch {batch}"
    return Contestant(f"pipeline_{batch}", title, _peer("pipeline", job, "--batch", str(batch)))


def onnx_runtime(job: Path, graph: Path, kind: str) -> Contestant:
    """ONNX Runtime with an exported graph."""
    command = _peer("onnx_runtime", job, "--graph", str(graph))
    return Contestant(f"onnx_{kind}", f"ONNX Runtime, {kind}", command)


def bertune_prediction(job: Path, precision: str = "auto") -> Contestant:
    """Prediction with bertune, in the default or another precision."""
    key, title = (
        (OURS, "bertune") if precision == "auto" else (f"bertune_{precision}", f"bertune, {precision}")
    )
    return Contestant(key, title, _peer("bertune_predict", job, "--precision", precision))
