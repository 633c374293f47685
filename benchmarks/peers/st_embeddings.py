"""Trains on scored pairs with sentence-transformers, following its documentation on STS-B.

    python benchmarks/peers/st_embeddings.py --train FILE --validation FILE --recipe JSON --seed 1 --out FILE

The recipe selects the loss: CosineSimilarityLoss on scores from 0 to 1, or CoSENTLoss. The scores are the
Spearman and Pearson correlations of the cosine similarities with the gold scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import peer_recipe
from peer_recipe import Run

LOSSES = {"mse": "CosineSimilarityLoss", "cosent": "CoSENTLoss"}
HIGHEST = 5  # STS-B scores range from 0 to 5


@dataclass(frozen=True)
class Pairs:
    """Text pairs with similarity scores from 0 to 1."""

    firsts: list[str]
    seconds: list[str]
    scores: list[float]


def read(path: Path) -> Pairs:
    """The pairs of an STS-B file: tab-separated, without quoting, with a header."""
    header, *lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    names = header.split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    return Pairs(
        [row["sentence1"] for row in rows],
        [row["sentence2"] for row in rows],
        [float(row["score"]) / HIGHEST for row in rows],
    )


def run(asked: Run, folder: Path) -> dict[str, float]:
    """Trains and scores the held-out pairs."""
    from datasets import Dataset
    from scipy.stats import pearsonr, spearmanr
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer import losses
    from transformers import PrinterCallback, set_seed

    train, held_out = read(asked.train), read(asked.validation)
    set_seed(asked.seed)
    model = SentenceTransformer(str(asked.encoder), device="cpu")
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(**peer_recipe.trainer_settings(asked, folder)),
        train_dataset=Dataset.from_dict(
            {"sentence1": train.firsts, "sentence2": train.seconds, "score": train.scores}
        ),
        loss=getattr(losses, LOSSES[asked.recipe["loss"]])(model),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    saved = SentenceTransformer(str(folder / "model"), device="cpu")
    first, second = (
        saved.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        for texts in (held_out.firsts, held_out.seconds)
    )
    cosines = (first * second).sum(1)
    return {
        "spearman": float(spearmanr(cosines, held_out.scores)[0]),
        "pearson": float(pearsonr(cosines, held_out.scores)[0]),
    }


if __name__ == "__main__":
    peer_recipe.main(run, "accelerate", "sentence-transformers")
