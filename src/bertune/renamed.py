"""Knows the names that settings and tasks had up to format 2: for old runs, and to answer old habits.

A name from here is not accepted from a user: the answer is the new one.
"""

from collections.abc import Mapping
from typing import Any

SETTINGS = {
    "data.split": "data.validation_fraction",
    "train.best_by": "train.best_metric",
    "train.examples": "train.max_examples",
    "optimizer.clip": "optimizer.max_grad_norm",
    "machine.tokens": "machine.micro_batch_tokens",
    "task.long": "task.long_texts",
    "task.weights": "task.class_weights",
    "task.focal": "task.focal_gamma",
    "task.smoothing": "task.label_smoothing",
    "task.positive": "task.positive_label",
    "task.sizes": "task.matryoshka_dims",
    "task.share": "task.mask_probability",
    "task.whole_words": "task.whole_word_masking",
    "task.in_turn": "task.pseudo_perplexity",
    "task.faults": "task.invalid_examples",
    "task.highest": "task.max_grade",
}
TASKS = {"tokens": "token_classification", "qa": "question_answering", "choice": "multiple_choice"}
LAST_FORMAT = 2  # of runs and model folders with these names


def current_settings(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Nested settings of a run of format 2 or earlier, under the names they have now.

    Options of a user's own task are its own, whatever they are called.
    """
    is_own = str(stored.get("task", {}).get("name", "")).endswith(".py")
    found = {
        section: {
            key if is_own and section == "task" else _current(f"{section}.{key}", key): value
            for key, value in values.items()
        }
        for section, values in stored.items()
    }
    if "name" in found.get("task", {}):
        found["task"]["name"] = TASKS.get(found["task"]["name"], found["task"]["name"])
    return found


def _current(key: str, name: str) -> str:
    return SETTINGS[key].partition(".")[2] if key in SETTINGS else name
