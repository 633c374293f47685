"""Tiny classifiers of encoder families with random weights, to export as graphs."""

from pathlib import Path
from typing import Any

import torch
import transformers

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.metadata import ModelMetadata
from bertune.tasks.head_spec import HeadSpec

HEAD = HeadSpec("AutoModelForSequenceClassification", 3, "single_label_classification")
METADATA = ModelMetadata(TaskConfig(), ("a", "b", "c"), 90, Columns(("text",), "label", None), {})
SIZE: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 90,
    "num_labels": 3,
}
# Some layers of ModernBERT see only near tokens.
MODERNBERT = transformers.ModernBertConfig(
    **SIZE, local_attention=16, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3
)


def save_classifier(config: transformers.PreTrainedConfig, folder: Path, **saving: Any) -> Any:
    """A classifier with random weights, saved in a folder with the arguments of `save_pretrained`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        hf = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    hf.save_pretrained(folder, **saving)
    return hf
