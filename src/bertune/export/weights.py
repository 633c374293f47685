"""Copy the weights of a model, in fp32 or rounded to bf16, for torch and transformers."""

import hashlib
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from bertune.files import sha256_of, write_json

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


def weights_sha256(folder: Path) -> str:
    """The sha256 of the weights of a model folder; of several files, that of their names and digests."""
    files = sorted(folder.glob("*.safetensors"))
    if [path.name for path in files] == ["model.safetensors"]:
        return sha256_of(files[0])
    listing = "".join(f"{path.name} {sha256_of(path)}\n" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()
