"""Repeat the gate of an export anywhere, from its stored reference. Needs no torch for ONNX graphs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertune.config import Settings
from bertune.custom_code import with_custom_code
from bertune.errors import ConfigError, DataError, GateError, ModelError
from bertune.export.formats import tolerance_of
from bertune.export.gate import Gate, as_json
from bertune.export.reference import FOLDER, read_reference, reference_decisions
from bertune.metadata import FILE, ModelMetadata, recorded_metadata
from bertune.predict.loading import load_model
from bertune.predict.model import Model
from bertune.settings import resolve


def verify_export(folder: Path, settings: Settings) -> Mapping[str, Any]:
    """Compare the predictions of an export with those of the trained model, which it stores.

    Returns the comparison in the form of parity.json. Raises GateError if a file has changed or a result
    differs too much, and InputError if `folder` is not an export or has no stored rows.
    """
    config = resolve(settings)
    metadata = _metadata(folder)
    assert metadata.export is not None, "checked by _metadata"
    given = {section: dict(values) for section, values in settings.items() if section != "export"}
    # A missing file is an error of the user, not of the export.
    with_custom_code(metadata, _own_code(given))
    if metadata.export.graph is None:
        given["machine"] = {"precision": "fp32", **given.get("machine", {})}
    try:
        model = load_model(folder, given)
        rows, expected = read_reference(folder)
        encoder = replace(model.encoder, fitted=reference_decisions(folder, model.fitted))
        model = Model(model.metadata, encoder, model.backend)
        examples = rows.examples(model.fitted.task)
    except (ModelError, DataError) as error:
        raise GateError(str(error)) from error
    gate = Gate(examples, expected, tolerance_of(metadata.export.format, config.export))
    return {"format": metadata.export.format, **as_json(gate.passed(str(folder), model), gate)}


def _metadata(folder: Path) -> ModelMetadata:
    """The metadata of an export with stored rows. Raises ConfigError, and GateError if it is damaged."""
    try:
        metadata = recorded_metadata(folder) if folder.is_dir() else None
    except ModelError as error:
        raise GateError(str(error)) from error
    if metadata is None or metadata.export is None:
        has_remains = folder.is_dir() and (folder / FOLDER).is_dir() and not (folder / FILE).exists()
        if has_remains:
            raise GateError(f"{folder / FILE} is missing. Restore the folder from a copy, or export again")
        raise ConfigError(f"{folder} is not an export. Create one with: bertune export RUN")
    return metadata


def _own_code(settings: Settings) -> dict[str, str]:
    """The user's files that are named in settings, by setting."""
    keys = (("task", "name"), ("model", "head"), ("data", "reader"))
    return {
        f"{section}.{key}": str(settings[section][key])
        for section, key in keys
        if key in settings.get(section, {})
    }
