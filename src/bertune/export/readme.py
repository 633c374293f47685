"""The README of an export: what it is, and ten lines that run it without bertune."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertune.export.formats import format_named
from bertune.files import read_object, write_atomically
from bertune.metadata import ModelMetadata

_RUN = """\
```python
import numpy as np, onnxruntime, tokenizers

tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation({max_length})
tokenizer.enable_padding(pad_id={pad_id})
session = onnxruntime.InferenceSession("{graph}")
encoded = tokenizer.encode_batch({texts})
inputs = {{"input_ids": [e.ids for e in encoded],
          "attention_mask": [e.attention_mask for e in encoded]{types}}}
arrays = {{name: np.array(value, np.int64){choices} for name, value in inputs.items()}}
{outputs} = session.run({names}, arrays)
print({shown})
```
"""


def write_readme(folder: Path, metadata: ModelMetadata, parity: Mapping[str, Any]) -> None:
    """Write README.md to an export."""
    export = metadata.export
    assert export is not None
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
        "`parity.json` has all figures. `bertune verify .` repeats the comparison anywhere, on the rows in "
        "`reference/`, without torch.",
        "",
        "## Files",
        "",
        "| file | content |\n|---|---|",
        f"| `{export.graph or 'model.safetensors'}` | the weights |",
        "| `tokenizer.json`, `tokenizer_config.json` | the tokenizer, for the tokenizers library |",
        "| `config.json` | architecture and label names, in the format of transformers |",
        "| `bertune.json` | task, labels, length limit, and the checksums of all files |",
        "| `reference/` | validation rows with the predictions and scores of the trained model |",
        "",
    ]
    if export.graph is not None:
        lines += ["## Run it without bertune", "", _without_bertune(folder, metadata), *_notes(metadata)]
    lines += [
        "## Run it with bertune",
        "",
        "```\npip install 'bertune[runtime]'\nbertune predict . FILE\n```",
        "",
        "This also splits long texts into windows, applies thresholds, and returns labels, entities or "
        "answers.",
    ]
    write_atomically(folder / "README.md", "\n".join(lines) + "\n")


def _without_bertune(folder: Path, metadata: ModelMetadata) -> str:
    """Ten lines for onnxruntime and tokenizers alone."""
    export = metadata.export
    assert export is not None and export.graph is not None
    outputs = [name for name in export.outputs if name != "last_hidden_state"]
    is_choice = export.auto_class == "AutoModelForMultipleChoice"
    is_pair = len(metadata.columns.text) > 1
    texts = (
        '[("a text", "another text"), ("a third text", "a fourth")]'
        if is_pair
        else '["a text", "another text"]'
    )
    types = ',\n          "token_type_ids": [e.type_ids for e in encoded]' if _has_types(folder) else ""
    shown = ", ".join(outputs)
    if outputs == ["logits"] and metadata.labels:
        shown = f"{list(metadata.labels[:12])}, logits"
    return _RUN.format(
        max_length=metadata.max_length,
        pad_id=export.pad_id,
        graph=export.graph,
        texts=texts,
        types=types,
        outputs=", ".join(outputs) + ("," if len(outputs) == 1 else ""),
        names=outputs,
        choices="[:, None]" if is_choice else "",
        shown=shown,
    )


def _has_types(folder: Path) -> bool:
    return int(read_object(folder / "config.json").get("type_vocab_size", 0)) > 1


def _notes(metadata: ModelMetadata) -> list[str]:
    """What the graph does not do, for this model."""
    export = metadata.export
    assert export is not None
    if export.pooling is not None:
        return ["The vectors are the mean over all tokens. Divide each by its length for cosines.", ""]
    return []


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
