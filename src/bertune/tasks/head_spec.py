"""The head on top of the encoder, described by its Hugging Face class."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadSpec:
    """The head of a Hugging Face model class, so that transformers can load the saved folder directly."""

    auto_class: str  # e.g. "AutoModelForSequenceClassification"
    num_outputs: int  # `num_labels` in its configuration
    problem_type: str | None = None  # written to config.json
    is_named: bool = True  # whether the outputs are the task's labels, which config.json then names
    activation: str | None = None  # class of torch.nn that sentence-transformers' CrossEncoder applies
    least_width: int = 1  # minimum hidden size of the encoder
    per_token: bool = False  # whether outputs are per token, [T, …], instead of per sequence, [S, …]
