"""Training settings: [model], [task], [train], [optimizer] and [machine]."""

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bertune.config.section import Auto, Section


class ModelConfig(Section):
    """The pretrained encoder, the maximum length of a text, dropout, and the head."""

    name: str = Field(
        "google-bert/bert-base-uncased",
        min_length=1,
        description="minilm (packaged), a local folder, or a Hub model ID",
    )
    max_length: int | Auto = Field(
        "auto",
        description="maximum number of tokens in a text or window; auto: the encoder's maximum, or an error "
        "if this would truncate more than 2% of the texts; can be changed for a trained model",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="hidden and attention dropout; default: as in the model's configuration"
    )
    head: str = Field("auto", description="auto: the standard head; or the path of your own head.py")

    @field_validator("max_length")
    @classmethod
    def _room_for_special_tokens(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 4:
            raise ValueError("must be at least 4 ([CLS], two tokens, [SEP])")
        return value


# Common short names of tasks.
SHORT_NAMES = {"ner": "token_classification", "qa": "question_answering", "mlm": "language_modelling"}


class TaskConfig(BaseModel):
    """The task. All other keys are options of the task, which validates them."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(
        "classification", description="name of a task (or ner, qa, mlm), or the path of your own task.py"
    )

    @field_validator("name")
    @classmethod
    def _full_name(cls, value: str) -> str:
        return SHORT_NAMES.get(value, value)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the task as given, not validated."""
        return dict(self.__pydantic_extra__ or {})


class TrainConfig(Section):
    """Training hyperparameters. The defaults follow the BERT paper (Devlin et al. 2019, appendix A.3)."""

    epochs: float = Field(3, gt=0, description="passes over the training data")
    batch_size: int = Field(
        32, ge=1, description="examples per optimizer step, independent of machine.micro_batch_tokens"
    )
    lr: float = Field(5e-5, gt=0, description="peak learning rate")
    warmup: float = Field(
        0.1, ge=0, description="learning-rate warmup: a fraction of all steps if below 1, otherwise steps"
    )
    weight_decay: float = Field(0.01, ge=0, description="weight decay, not applied to biases and LayerNorm")
    freeze: Literal["none", "embeddings", "encoder"] | int = Field(
        "none",
        description="what to freeze: none, embeddings, encoder, or N for the embeddings and N lower layers",
    )
    seed: int = Field(
        42, ge=0, lt=2**32, description="random seed of split, data order, new weights and dropout"
    )
    patience: int = Field(
        0, ge=0, description="early stopping: stop after this many evaluations without improvement; 0: off"
    )
    evaluate_every: int | Literal["epoch"] = Field("epoch", description="steps between evaluations")
    checkpoint_every: int | Literal["epoch"] = Field(
        "epoch", description="steps between resumable checkpoints"
    )
    best_metric: str = Field("auto", description="metric (or loss) that selects the best checkpoint")
    best_margin: float = Field(
        1.0,
        ge=0,
        description="an earlier checkpoint is selected only if its score is better than that of a later one "
        "by more than this many standard errors of the paired difference; 0 selects the best score",
    )
    max_examples: int | None = Field(None, ge=1, description="use only the first N training rows")
    refit: bool = Field(
        False,
        description="after the best step is known, train again for that many steps on training and "
        "validation rows together, and save that model; the scores belong to the first model",
    )
    seeds: int = Field(
        1,
        ge=1,
        le=1000,
        description="number of seeds to train with, starting with train.seed; the best run is kept",
    )
    baselines: bool = Field(
        True, description="compare the model with simple models, if the task supports it: see the report"
    )
    explain: bool = Field(
        True,
        description="show in the report how much each word contributed to the worst errors; takes at most "
        "about 3% of the training time",
    )

    @field_validator("freeze", mode="before")
    @classmethod
    def _freeze(cls, value: object) -> object:
        if isinstance(value, str) and value.isdigit():
            return int(value)
        return "none" if value is None or value is False else value

    @field_validator("freeze")
    @classmethod
    def _some_layers(cls, value: str | int) -> str | int:
        if isinstance(value, int) and value < 1:
            raise ValueError('must be at least 1, or "none"')
        return value

    @field_validator("warmup")
    @classmethod
    def _whole_steps(cls, value: float) -> float:
        if value >= 1 and value != math.floor(value):
            raise ValueError("must be a whole number of steps, or a fraction below 1")
        return value

    @field_validator("evaluate_every", "checkpoint_every")
    @classmethod
    def _some_steps(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError('must be at least 1, or "epoch"')
        return value


class OptimizerConfig(Section):
    """AdamW with bias correction (Loshchilov & Hutter 2019), and gradient clipping."""

    beta1: float = Field(0.9, ge=0, lt=1, description="decay rate of the first moment (gradients)")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay rate of the second moment (squared gradients)")
    eps: float = Field(1e-8, gt=0, description="added to the square root of the second moment")
    max_grad_norm: float = Field(1.0, ge=0, description="maximum gradient norm for clipping; 0: no clipping")


class MachineConfig(Section):
    """Hardware settings. Except for precision, they affect results only by rounding and dropout masks."""

    device: str = Field("auto", description="device: auto, cpu, cuda, cuda:1 …")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="precision of matrix products; auto: bf16 if the hardware supports it, otherwise fp32",
    )
    micro_batch_tokens: int | Auto = Field("auto", description="tokens per micro-batch; auto: by free memory")
    threads: int | Auto = Field("auto", description="CPU threads")

    @field_validator("micro_batch_tokens", "threads")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError('must be at least 1, or "auto"')
        return value

    @field_validator("threads")
    @classmethod
    def _startable(cls, value: int | str) -> int | str:
        # The OpenMP runtime aborts the process if it cannot start that many threads.
        if isinstance(value, int) and value > 1024:
            raise ValueError('must be at most 1,024, or "auto"')
        return value
