"""Model folders as a stranger may send them: with code, and with checksums that agree with the changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertune.files import sealed, sha256_of_all

Json = dict[str, Any]

# Leaves a mark beside itself when it is imported, and is otherwise what the configuration promises.
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
    """Changes a JSON object in a file, in place or by what `change` returns."""
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(content) or content), encoding="utf-8")


def reseal(model: Path, change: Callable[[Json], Json | None] = lambda stored: None) -> None:
    """Writes bertune.json again, changed, with checksums that agree with the folder as it is now."""
    path = model / "bertune.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored = change(stored) or stored
    path.unlink()
    path.write_text(json.dumps(sealed({**stored, "files": sha256_of_all(model)})), encoding="utf-8")


def add_code(folder: Path, mark: Path, *, config: bool, tokenizer: bool) -> None:
    """Puts a module into a model folder, and asks for it where transformers looks for such wishes."""
    (folder / "evil.py").write_text(_CODE.format(mark=str(mark)), encoding="utf-8")
    if config:
        wishes = {"AutoConfig": "evil.EvilConfig", "AutoModelForSequenceClassification": "evil.EvilModel"}
        edit_json(folder / "config.json", lambda c: c | {"model_type": "evilbert", "auto_map": wishes})
    if tokenizer:
        path = folder / "tokenizer_config.json"
        wish = {"AutoTokenizer": ["evil.EvilTokenizer", "evil.EvilTokenizer"]}
        edit_json(path, lambda c: c | {"tokenizer_class": "EvilTokenizer", "auto_map": wish})
