"""The arguments of `bertune serve`: names, folders, and the exports that could serve a run."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.cross_validation import is_cross_validation
from bertune.errors import ConfigError, ModelError
from bertune.files import read_object
from bertune.metadata import FILE, recorded_metadata
from bertune.run import MANIFEST
from bertune.serve.logs import LOGGER, event
from bertune.tuning import is_tuning

_LOG = logging.getLogger(LOGGER)

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_. -]*")  # fits into a path of a URL and into a metric


@dataclass(frozen=True)
class Source:
    """A model to serve, as named on the command line."""

    name: str
    place: str  # a folder, or the name of a pretrained encoder


def split_arguments(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """The models and the settings among the arguments. A setting is section.key=value.

    In NAME=FOLDER, the name has no dot before the first "=".
    """
    models: list[str] = []
    settings: list[str] = []
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        is_setting = bool(equals) and re.fullmatch(r"[a-z_]+\.[a-z_0-9]+", key.strip()) is not None
        (settings if is_setting and not os.path.exists(argument) else models).append(argument)
    return models, settings


def named_sources(arguments: SequenceOf[str]) -> list[Source]:
    """Each model with a name: that of NAME=FOLDER, or one derived from its folder. Raises ConfigError."""
    found: list[Source] = []
    for argument in arguments:
        given, place = _split(argument)
        taken = {source.name for source in found}
        if given is not None and given in taken:
            raise ConfigError(
                f'two models have the name "{given}". Use different names, as in a=FOLDER b=FOLDER'
            )
        if given is not None and not _NAME.fullmatch(given):
            raise ConfigError(
                f'"{given}" cannot be the name of a model. Start it with a letter, a digit, _ or -; after '
                "that, dots and spaces are also allowed"
            )
        found.append(Source(given or _free_name(place, taken), place))
    return found


def _split(argument: str) -> tuple[str | None, str]:
    name, equals, place = argument.partition("=")
    if not equals or os.path.exists(argument) or "/" in name:
        return None, argument
    return name, place


def _free_name(place: str, taken: set[str]) -> str:
    """A name for the model in a folder: that of the run or export, numbered if it is taken."""
    path = Path(os.path.abspath(place)) if os.path.exists(place) else Path(place)
    parts = [part for part in path.parts if part != os.sep]
    if len(parts) > 2 and parts[-2] == "export":  # RUN/export/FORMAT
        stem = f"{parts[-3]}-{parts[-1]}"
    elif len(parts) > 1 and parts[-1] == "model":
        stem = parts[-2]
    else:
        stem = parts[-1] if parts else place
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.") or "model"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name


def is_trained(place: str) -> bool:
    """Whether a place is a folder that bertune wrote, and not a pretrained encoder."""
    folder = Path(place)
    written = any((folder / name).is_file() for name in (MANIFEST, FILE, f"model/{FILE}"))
    return written or is_cross_validation(folder) or is_tuning(folder)


def exports_of(run: Path) -> Iterator[Path]:
    """The exported graphs in a run folder that were made from its current weights and passed the gate.

    Damaged ones are left out, and so are those with another decision rule or temperature, with a warning in
    the log.
    """
    model = run / "model"
    trained = recorded_metadata(model) if (model / FILE).is_file() else None
    if trained is None:
        return
    weights = weights_sha256(model)
    for folder in sorted((run / "export").glob("*")):
        if not (folder / FILE).is_file() or not (folder / "parity.json").is_file():
            continue
        try:
            metadata = recorded_metadata(folder)
        except ModelError as error:
            event(_LOG, logging.WARNING, "export not used", folder=str(folder), reason=str(error))
            continue
        export = None if metadata is None else metadata.export
        if metadata is None or export is None or export.graph is None or export.weights_sha256 != weights:
            continue
        if (metadata.calibration, metadata.decision) != (trained.calibration, trained.decision):
            reason = "its decision rule or temperature is not that of the run: export again"
            event(_LOG, logging.WARNING, "export not used", folder=str(folder), reason=reason)
            continue
        yield folder


def weights_sha256(folder: Path) -> str:
    """The sha256 of the weights of a saved model, as recorded with it, in the form that exports record.

    Raises ModelError if the folder has no weights.
    """
    files: Mapping[str, Any] = read_object(folder / FILE).get("files") or {}
    weights = {name: digest for name, digest in files.items() if name.endswith(".safetensors")}
    if not weights:
        raise ModelError(f"{folder / FILE} lists no weights. Restore the folder from a copy, or train again")
    if list(weights) == ["model.safetensors"]:
        return str(weights["model.safetensors"])
    listing = "".join(f"{name} {digest}\n" for name, digest in sorted(weights.items()))
    return hashlib.sha256(listing.encode()).hexdigest()
