"""What sits on an encoder: the head of a Hugging Face class, or a module of one's own.

A user's own head is one file that defines `HEAD(hidden_size, num_outputs, dropout)`, a module whose forward
takes `hidden_TH` (the last hidden states of a batch, without padding) and `batch`, and gives the outputs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StandardHead:
    """The head that a Hugging Face class brings along, so that the saved folder loads there unchanged."""

    auto_class: str  # e.g. "AutoModelForSequenceClassification"
    num_outputs: int  # `num_labels` of its configuration
    problem_type: str | None = None  # written to config.json
    is_named: bool = True  # whether the outputs are the task's labels, so that config.json names them
    least_width: int = 1  # of the encoder's hidden states
    per_token: bool = False  # whether the outputs are [T, …], a row for each token, not [S, …]
