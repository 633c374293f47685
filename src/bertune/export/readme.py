"""The README of an export: its content, how much it differs from the model, and how to run it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertune.export.formats import format_named
from bertune.export.reference import FOLDER
from bertune.export.standalone_code import standalone_code
from bertune.files import read_object, write_atomically
from bertune.metadata import ModelMetadata
from bertune.tasks import FittedTask

_VERIFY = """ `bertune verify .` repeats the comparison anywhere{}.

`reference/` contains rows of the validation data. If they are confidential, do not publish this folder;
export the run again with `export.reference_rows=0`.
"""


def write_readme(
    folder: Path, metadata: ModelMetadata, fitted: FittedTask, parity: Mapping[str, Any]
) -> None:
    """Write README.md to an export."""
    export = metadata.export
    assert export is not None
    has_reference = (folder / FOLDER).is_dir()
    verify = _VERIFY.format("" if export.graph is None else ", without torch")
    extra = "train" if export.graph is None else "runtime"
    scores = "".join(
        f"| {name} | {_number(pair['model'])} | {_number(pair['export'])} |\n"
        for name, pair in parity["scores"].items()
    )
    lines = [
        f"# {format_named(export.format).description}",
        "",
        f"Exported by bertune {parity['bertune']} from a model for the task {Path(metadata.task.name).stem}.",
        "",
        f"On {parity['rows']:,} validation rows, compared with the trained model: largest difference of a "
        f"predicted number {parity['largest_difference']:.2g}, {parity['flips']:,} different predictions.",
        "",
        "| score | trained model | export |\n|---|---|---|\n" + scores,
        "`parity.json` has all results." + (verify if has_reference else ""),
        "",
        "## Files",
        "",
        "| file | content |\n|---|---|",
        f"| `{export.graph or 'model.safetensors'}` | the weights |",
        "| `tokenizer.json`, `tokenizer_config.json` | the tokenizer, for the tokenizers library |",
        "| `config.json` | architecture and label names, in the format of transformers |",
        "| `bertune.json` | task, labels, length limit, and the checksums of all files |",
        *(["| `reference/` | validation rows, and the predictions of the trained model |"] * has_reference),
        "",
    ]
    if export.graph is not None:
        lines += ["## Run it without bertune", "", _without_bertune(folder, metadata, fitted)]
    lines += [
        "## Run it with bertune",
        "",
        f"```\npip install 'bertune[{extra}]'\nbertune predict . FILE\n```",
        "",
        *([metadata.calibration_note, ""] if metadata.calibration_note else []),
        "bertune returns labels, entities or answers, and reads long texts in windows if the model was "
        "trained to do so.",
    ]
    write_atomically(folder / "README.md", "\n".join(lines) + "\n")


def _without_bertune(folder: Path, metadata: ModelMetadata, fitted: FittedTask) -> str:
    """The code for onnxruntime and tokenizers alone, as a Markdown block."""
    mask = read_object(folder / "tokenizer_config.json").get("mask_token")
    text = mask.get("content") if isinstance(mask, Mapping) else mask
    has_types = int(read_object(folder / "config.json").get("type_vocab_size", 0)) > 1
    return f"```python\n{standalone_code(metadata, fitted, text, has_types)}```\n"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
