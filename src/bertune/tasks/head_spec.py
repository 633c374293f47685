"""Says what sits on an encoder: the head of a Hugging Face class."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadSpec:
    """The head that a Hugging Face class brings along, so that the saved folder loads there unchanged."""

    auto_class: str  # e.g. "AutoModelForSequenceClassification"
    num_outputs: int  # `num_labels` of its configuration
    problem_type: str | None = None  # written to config.json
    is_named: bool = True  # whether the outputs are the task's labels, so that config.json names them
    least_width: int = 1  # of the encoder's hidden states
    per_token: bool = False  # whether the outputs are [T, …], a row for each token, not [S, …]
