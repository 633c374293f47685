"""Repeat the gate of an export anywhere, from its stored reference. Needs no torch for ONNX graphs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertune.config import Settings
from bertune.errors import ConfigError, GateError, ModelError
from bertune.export.formats import tolerance_of
from bertune.export.gate import as_json, pass_gate
from bertune.export.reference import read_reference
from bertune.metadata import recorded_metadata
from bertune.predict.loading import load_model
from bertune.settings import resolve


def verify_export(folder: Path, settings: Settings) -> Mapping[str, Any]:
    """Compare the predictions of an export with those of the trained model, which it stores.

    Returns the comparison in the form of parity.json. Raises GateError if a file has changed or a result
    differs too much, and InputError if `folder` is not an export.
    """
    metadata = recorded_metadata(folder) if folder.is_dir() else None
    if metadata is None or metadata.export is None:
        raise ConfigError(f"{folder} is not an export. Create one with: bertune export RUN")
    config = resolve(settings)
    given = {section: dict(values) for section, values in settings.items() if section != "export"}
    given["machine"] = {"precision": "fp32", **given.get("machine", {})}
    try:
        model = load_model(folder, given)
        rows, expected = read_reference(folder)
    except ModelError as error:
        raise GateError(str(error)) from error
    name = metadata.export.format
    passed = pass_gate(str(folder), expected, model, rows, tolerance_of(name, config.export))
    return {"format": name, **as_json(passed)}
