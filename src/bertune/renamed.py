"""Former names of settings and tasks (up to format 2), to read old runs and to suggest the new names.

A former name in the settings of a user is an error that suggests the new name.
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
LAST_FORMAT = 2  # last format of runs and model folders that uses these names


def current_settings(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Convert the nested settings of a run of format 2 or earlier to the current names.

    The options of a custom task are left unchanged.
    """
    is_custom = str(stored.get("task", {}).get("name", "")).endswith(".py")
    current = {
        section: {
            key if is_custom and section == "task" else _current(f"{section}.{key}", key): value
            for key, value in values.items()
        }
        for section, values in stored.items()
    }
    if "name" in current.get("task", {}):
        name = current["task"]["name"]
        current["task"]["name"] = TASKS.get(name, name)
    return current


def _current(key: str, name: str) -> str:
    return SETTINGS[key].partition(".")[2] if key in SETTINGS else name
