"""Packages that only some commands need, and the extra of bertune that installs each."""

import contextlib
from collections.abc import Iterator

from bertune.errors import MissingPackageError

# The extra of bertune that installs a package.
EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "safetensors": "train",
    "sklearn": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "pyarrow": "train",
    "huggingface_hub": "train",
    "onnxruntime": "runtime",
    "onnx": "export",
    "onnxscript": "export",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
}


@contextlib.contextmanager
def needs(package: str, purpose: str, otherwise: str = "") -> Iterator[None]:
    """Turn a missing package into an error that says how to install it; `purpose` follows its name.

    `otherwise` is what else the user can do. Raises MissingPackageError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or package).split(".")[0]
        if missing not in EXTRAS:
            raise
        install = f"pip install 'bertune[{EXTRAS[missing]}]'"
        also = f". {otherwise}" if otherwise else ""
        raise MissingPackageError(
            f"{missing} is not installed, but needed {purpose}. Install it: {install}{also}"
        ) from error
