"""The settings of other commands: [cross_validate], [predict], [export] and [serve]."""

from typing import Literal

from pydantic import Field, field_validator

from bertune.config.section import Auto, Section


class CrossValidateConfig(Section):
    """The folds of `bertune cross-validate`. Not used by other commands."""

    folds: int = Field(
        5, ge=2, description="number of folds; ignored if data.split_column holds fold numbers"
    )
    repeats: int = Field(
        1, ge=1, description="number of times the rows are divided into folds, each time differently"
    )
    keep_models: bool = Field(True, description="whether to keep the model of every fold")


class PredictConfig(Section):
    """How the predictions of a trained model are written. Not used in training."""

    prefix: str = Field("", description="prefix for the names of the columns that prediction adds")


class ExportConfig(Section):
    """How far an export may differ from the trained model. Not used in training."""

    max_difference: float | Auto = Field(
        "auto",
        description="largest difference of a probability or another predicted number, relative to numbers "
        "above 1; auto: by format",
    )
    max_flips: float | Auto = Field(
        "auto", description="largest share of rows whose label, entities or answer differ; auto: by format"
    )
    max_score_loss: float | Auto = Field(
        "auto", description="largest drop in the score that selects checkpoints; auto: by format"
    )
    reference_rows: int = Field(
        1000,
        ge=0,
        description="maximum number of validation rows stored with the export, for `bertune verify`; 0: none",
    )

    @field_validator("max_difference", "max_flips", "max_score_loss")
    @classmethod
    def _not_negative(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and value < 0:
            raise ValueError('must be 0 or more, or "auto"')
        return value

    @field_validator("max_flips")
    @classmethod
    def _a_share(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and value > 1:
            raise ValueError('must be a share from 0 to 1, such as 0.01, or "auto"')
        return value


class ServeConfig(Section):
    """The HTTP service and the limits that protect it. Not used in training."""

    backend: Literal["auto", "torch", "onnx"] = Field(
        "auto", description="backend; auto: the fastest one, measured at startup"
    )
    max_batch_tokens: int | Auto = Field(
        "auto", description="maximum number of padded tokens in a batch; auto: measured at startup"
    )
    max_queued_tokens: int = Field(
        500_000,
        ge=1,
        description="maximum number of tokens in the queue; further requests are refused with 429, and so "
        "are those that would wait for more than half of serve.timeout",
    )
    max_texts: int = Field(1000, ge=1, description="maximum number of texts in a request")
    max_body_mb: float = Field(10, gt=0, description="maximum size of a request body in MB")
    max_file_mb: float = Field(1000, gt=0, description="maximum size of an uploaded file, in MB")
    timeout: float = Field(30, gt=0, description="seconds after which a waiting request is refused with 503")
    pin_threads: bool = Field(
        True,
        description="with a graph on two cores, pin each of the two compute threads to its own core (Linux); "
        "false is better if other programs also use these cores",
    )
    token_file: str | None = Field(
        None,
        min_length=1,
        description="file with the bearer token that requests must have; default: the environment variable "
        "BERTUNE_TOKEN, or no token",
    )
    pooling: Literal["mean", "cls"] = Field(
        "mean", description="pooling for encoders without fine-tuning, which are served for embeddings"
    )
    layer: int = Field(
        -1, description="layer whose vectors are pooled, for encoders without fine-tuning; -1: the last"
    )

    @field_validator("max_batch_tokens")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError('must be at least 1, or "auto"')
        return value
