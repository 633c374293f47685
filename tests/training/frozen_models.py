"""Models with frozen layers, and sequences for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from bertune.nn.blocks import freeze
from bertune.nn.device import Machine
from bertune.nn.model import StandardModel
from bertune.text.sequences import Sequence
from small_texts import write_vocabulary

Keep = Callable[[str], None]
CPU = Machine(torch.device("cpu"), "cpu", "fp32", 64, 1)
_SIZES: dict[str, Any] = {
    "vocab_size": 130, "hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 37, "max_position_embeddings": 64, "initializer_range": 0.15,
}  # fmt: skip
CONFIGS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertConfig(**_SIZES),
    "roberta": lambda: transformers.RobertaConfig(**_SIZES, type_vocab_size=1),
    "electra": lambda: transformers.ElectraConfig(**_SIZES, embedding_size=36),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=130, dim=36, n_layers=2, n_heads=4, hidden_dim=37, max_position_embeddings=64
    ),
    "mpnet": lambda: transformers.MPNetConfig(**_SIZES),
}


def make_family(folder: Path, family: str) -> Path:
    folder.mkdir()
    write_vocabulary(folder)
    transformers.BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    CONFIGS[family]().save_pretrained(folder)
    return folder


def classifier(family: str = "bert", what: str | int = 1) -> Any:
    """A classifier with frozen layers; the same weights at every call."""
    torch.manual_seed(4)
    model = StandardModel(transformers.AutoModelForSequenceClassification.from_config(CONFIGS[family]()))
    freeze(model, what)
    return model


def some_texts(num: int = 13, seed: int = 4) -> list[Sequence]:
    draw = np.random.default_rng(seed)
    ids = [draw.integers(5, 99, size=draw.integers(1, 30)).astype(np.int32) for _ in range(num)]
    return [Sequence(i, np.zeros(len(i), np.uint8), group, group % 2) for group, i in enumerate(ids)]
