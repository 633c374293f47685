"""Builds untrusted model folders: with code, and with checksums that match the changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertune.files import sealed, sha256_of_all

Json = dict[str, Any]

# Creates a marker file when it is imported; otherwise it implements what the configuration refers to.
_CODE = """
from pathlib import Path
Path({mark!r}).write_text("ran")
from transformers import BertConfig, BertTokenizerFast, BertForSequenceClassification
class EvilConfig(BertConfig):
    model_type = "evilbert"
class EvilTokenizer(BertTokenizerFast):
    pass
class EvilModel(BertForSequenceClassification):
    config_class = EvilConfig
"""


def edit_json(path: Path, change: Callable[[Json], Json | None]) -> None:
    """Changes a JSON object in a file, in place or by replacing it with the return value of `change`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(content) or content), encoding="utf-8")


def reseal(model: Path, change: Callable[[Json], Json | None] = lambda stored: None) -> None:
    """Rewrites bertune.json with changes, and with checksums that match the current folder."""
    path = model / "bertune.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored = change(stored) or stored
    path.unlink()
    path.write_text(json.dumps(sealed({**stored, "files": sha256_of_all(model)})), encoding="utf-8")


def add_code(folder: Path, mark: Path, *, config: bool, tokenizer: bool) -> None:
    """Adds a module to a model folder, and references it where transformers looks for custom code."""
    (folder / "evil.py").write_text(_CODE.format(mark=str(mark)), encoding="utf-8")
    if config:
        wishes = {"AutoConfig": "evil.EvilConfig", "AutoModelForSequenceClassification": "evil.EvilModel"}
        edit_json(folder / "config.json", lambda c: c | {"model_type": "evilbert", "auto_map": wishes})
    if tokenizer:
        path = folder / "tokenizer_config.json"
        wish = {"AutoTokenizer": ["evil.EvilTokenizer", "evil.EvilTokenizer"]}
        edit_json(path, lambda c: c | {"tokenizer_class": "EvilTokenizer", "auto_map": wish})
