"""The head on top of the encoder, described by its Hugging Face class."""

from dataclasses import dataclass

# The pipelines of the Hugging Face Hub, by the class of the head.
_PIPELINES = {
    "AutoModel": "feature-extraction",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForMultipleChoice": "multiple-choice",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
}


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

    @property
    def pipeline_tag(self) -> str:
        """The pipeline of the Hugging Face Hub for models of this class."""
        return _PIPELINES.get(self.auto_class, "feature-extraction")
