"""Models of all tasks with random weights, saved without training: their answers are wrong but complete."""

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig

from bertune.config import DataConfig, ModelConfig, TaskConfig
from bertune.data.columns import choose_columns
from bertune.data.memory import table_from_memory
from bertune.metadata import ModelMetadata
from bertune.nn.pretrained import Pretrained
from bertune.saved_model import LoadedModel, new_model, save
from bertune.tasks import make_task
from bertune.tasks.encoder import read_examples
from bertune.text.tokenizer import Tokenizer
from small_texts import TINY_BERT, write_vocabulary

Rows = SequenceOf[Mapping[str, Any]]
# Texts of jevcompat have 90 tokens; the other models have a limit that short texts exceed.
MAX_LENGTHS = {"decisions": 200}
MAX_LENGTH = 64

# What jevcompat asks, so that a model with these labels can answer all of its questions.
DECISIONS = (
    "true", "false", "Billing", "Technical", "Sales", "Calm", "Frustrated", "Very angry",
    "Red", "Green", "Blue", "Yellow", "Purple", "English", "Other", "Rude", "Neutral", "Polite",
    "Not at all", "A little", "Somewhat", "A lot", "More than anything", "환불 요청", "배송 문의", "🙂 기타",
    "Level 0: calm", *(f"Level {i}: angrier" for i in range(1, 10)),
    *(f"Queue {i:03d}" for i in range(1, 256)),
)  # fmt: skip


def _rated(*grades: float) -> Rows:
    return [{"text": f"the phone is {'very ' * i}clear", "score": grade} for i, grade in enumerate(grades)]


# The task of each model, its training rows and its options.
MODELS: dict[str, tuple[str, Rows, dict[str, Any]]] = {
    "topics": (
        "multilabel",
        [{"text": "the screen", "labels": "screen,sound"}, {"text": "my phone", "labels": "battery"}],
        {},
    ),
    "stars": ("regression", _rated(1, 3, 5), {}),
    "relevance": (
        "ranking",
        [
            {"query": "my phone", "document": "the phone", "grade": 1},
            {"query": "my phone", "document": "the lamp", "grade": 0},
        ],
        {},
    ),
    "vectors": (
        "embeddings",
        [{"anchor": "my phone", "positive": "the phone"}, {"anchor": "a lamp", "positive": "the lamp"}],
        {"matryoshka_dims": [16, 8]},
    ),
    "entities": (
        "token_classification",
        [{"words": ["my", "phone"], "tags": ["O", "B-THING"]}, {"words": ["house"], "tags": ["B-PLACE"]}],
        {},
    ),
    "answers": (
        "question_answering",
        [
            {"question": "my phone ?", "context": "the phone is in the box", "answers": ["the box"]},
            {"question": "the lamp ?", "context": "the phone is in the box", "answers": []},
        ],
        {},
    ),
    "choices": (
        "multiple_choice",
        [{"context": "my phone", "question": "is in the", "choices": ["box", "house"], "label": 0}],
        {},
    ),
    "masks": ("language_modelling", [{"text": "the phone is clear"}], {}),
    "decisions": (
        "classification",
        [{"text": text, "label": name} for name in DECISIONS for text in (name, f"my {name}")],
        {},
    ),
}


def write_encoder(folder: Path) -> Path:
    """The tiny BERT of all tests, for longer texts and without weights."""
    BertConfig(**{**TINY_BERT, "max_position_embeddings": max(MAX_LENGTHS.values())}).save_pretrained(folder)
    write_vocabulary(folder)
    return folder


def save_model(folder: Path, encoder: Path) -> None:
    """Save the model with the name of the folder, with random weights and the labels of its rows."""
    task_name, rows, options = MODELS[folder.name]
    length = MAX_LENGTHS.get(folder.name, MAX_LENGTH)
    task = make_task(TaskConfig(name=task_name, **options))
    table = table_from_memory(list(rows))
    columns, _ = choose_columns(table, DataConfig(), task.columns, task.needs_label)
    tokenizer = Tokenizer.pretrained(encoder)
    fitted = task.fit(read_examples(table, task, columns)).bound(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = new_model(Pretrained("tiny", encoder, "random"), ModelConfig(), fitted)
    resolved = fitted.options.model_dump(mode="json", exclude_unset=True)
    metadata = ModelMetadata(
        TaskConfig(name=task_name, **resolved), fitted.labels, length, columns, {},
        precision="fp32", length_limit=length,
    )  # fmt: skip
    save(folder, LoadedModel(model, tokenizer, fitted, metadata))
