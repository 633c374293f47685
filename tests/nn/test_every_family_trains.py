"""Every encoder family trains and saves, and transformers predicts the same from the saved folder."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from families import PACKED, PADDED

from bertune import api
from bertune.source import resolve_source
from bertune.training.events import Finished
from bertune.training.fit import train_source

TEXTS = ["great phone", "it is a very dull and broken lamp of my office , so no", "bag"]


def untrained(family: str, tiny_weights: Path, folder: Path) -> Path:
    """A model folder of this family, with random weights and the tokenizer of the tiny BERT."""
    torch.manual_seed(3)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_weights)
    config = (PACKED | PADDED)[family](vocab_size=len(tokenizer))
    config.pad_token_id = tokenizer.pad_token_id  # RoBERTa numbers its positions from here
    if family == "distilbert":
        config.seq_classif_dropout = 0.0  # a third kind of dropout, not set by model.dropout
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", [*PACKED, *PADDED])
def test_a_family_learns_and_its_saved_folder_works_in_plain_transformers(
    family: str, tiny_weights: Path, reviews_csv: Path, tmp_path: Path, settings: Any
) -> None:
    folder = untrained(family, tiny_weights, tmp_path / "encoder")
    changes = settings(
        **{"model.name": str(folder), "model.dropout": 0.0, "train.epochs": 3, "train.lr": 3e-3}
    )
    *_, last = train_source(resolve_source(str(reviews_csv), changes), tmp_path / "run")
    assert isinstance(last, Finished)
    assert last.run.manifest["model"]["forward"].startswith("packed" if family in PACKED else "padded: ")
    losses = [line["loss"] for line in last.run.metrics()]
    assert sum(losses[-8:]) < 0.85 * sum(losses[:8]), "the last epoch should cost less than the first"

    predictions = api.load(last.run).predict(TEXTS)
    hf = transformers.AutoModelForSequenceClassification.from_pretrained(last.run.model_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(last.run.model_path)
    for text, prediction in zip(TEXTS, predictions, strict=True):
        inputs = tokenizer(text, return_tensors="pt")
        if getattr(hf.config, "type_vocab_size", 0) < 2:
            inputs.pop("token_type_ids", None)
        with torch.no_grad():
            plain = hf.eval()(**inputs).logits[0].softmax(-1).tolist()
        assert list(prediction.probabilities.values()) == pytest.approx(plain, abs=1e-5)
