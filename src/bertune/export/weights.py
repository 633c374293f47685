"""Copy the weights of a model, in fp32 or rounded to bf16, for torch and transformers."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from bertune.files import write_json

PATTERNS = ("*.safetensors", "*.safetensors.index.json")


def copy_weights(source: Path, target: Path) -> None:
    """Copy all weight files of a model folder unchanged."""
    for pattern in PATTERNS:
        for path in source.glob(pattern):
            shutil.copy(path, target)


def write_bf16(source: Path, target: Path) -> None:
    """Write all weights rounded to bf16, and name that type in config.json, where transformers looks for it.

    The sizes in the index of weights in several files are halved as well.
    """
    for path in source.glob("*.safetensors"):
        state = {
            name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(str(path)).items()
        }
        save_file(state, str(target / path.name), metadata={"format": "pt"})
    for path in source.glob("*.safetensors.index.json"):
        index = json.loads(path.read_bytes())
        sizes = (tensor.stat().st_size for tensor in target.glob("*.safetensors"))
        write_json(target / path.name, {**index, "metadata": {"total_size": sum(sizes)}})
    config = target / "config.json"
    write_json(config, {**json.loads(config.read_bytes()), "dtype": "bfloat16"})


def size_mb(folder: Path) -> float:
    """The size of weights and graphs in MB (10**6 bytes)."""
    files = [path for path in folder.rglob("*") if path.suffix in (".safetensors", ".onnx", ".onnx_data")]
    return round(sum(path.stat().st_size for path in files) / 1e6, 2)
