"""All settings, in closed, frozen sections."""

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from bertune.errors import ConfigError

Auto = Literal["auto"]
Settings = dict[str, dict[str, Any]]

# json_schema_extra of a task option that only affects prediction: it can be changed for a trained model.
CHANGEABLE: dict[str, Any] = {"changeable": True}


class Section(BaseModel):
    """A closed, frozen group of settings. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


def comma_separated(value: object) -> object:
    """The parts of a string that commas separate, as written on the command line; other values unchanged."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def fraction_in(value: object) -> float | None:
    """The number that "0.2", 0.2 or "20%" stands for, if it is between 0 and 1; None for anything else."""
    text = str(value)
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return number if 0 < number < 1 else None


class DataConfig(Section):
    """Which files hold the texts and how to read them. Columns are given by name, or by number from 0."""

    train: str | None = Field(None, min_length=1, description="training file")
    validation: str | None = Field(
        None, min_length=1, description="validation file; default: some training rows are held out"
    )
    test: str | None = Field(None, min_length=1, description="test file, scored once after training")
    text: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="text column, or two for pairs: question,sentence; some tasks take more",
    )
    label: str | None = Field(None, description="label column")
    id: str | None = Field(None, description="column with row identifiers, copied to the predictions")
    header: bool | Auto = Field("auto", description="whether the first line holds the column names")
    delimiter: str = Field("auto", min_length=1, description='cell separator: ",", "tab", ";" …')
    quoting: bool | Auto = Field("auto", description="whether cells may be enclosed in double quotes")
    encoding: str = Field("auto", description="text encoding; auto: UTF-8, with or without a BOM")
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="fraction of training rows held out for validation, stratified by label"
    )
    test_fraction: float = Field(
        0, ge=0, lt=1, description="fraction of training rows held out for the test; 0: none"
    )
    group: str | None = Field(
        None, min_length=1, description="column whose rows with the same value stay in the same split"
    )
    time: str | None = Field(
        None,
        min_length=1,
        description="column of dates or numbers: training rows come before validation and test rows",
    )
    split_column: str | None = Field(
        None,
        min_length=1,
        description="column that assigns each training row to train, validation or test, or to a fold",
    )
    deduplicate: bool = Field(
        False,
        description="drop training rows whose texts repeat those of an earlier training row, or of a "
        "validation or test row; before rows are held out",
    )
    near_duplicates: Literal["keep", "drop"] = Field(
        "keep",
        description="drop: the same for rows that are nearly equal, which includes equal ones: texts that "
        "differ only in case, punctuation and spaces, in one word, or in a few words of a long text",
    )
    split_seed: int | None = Field(
        None, ge=0, lt=2**32, description="random seed of the split; default: train.seed"
    )
    calibration: str | None = Field(
        None,
        min_length=1,
        description="labelled file for calibration and decisions; default: some of the validation rows",
    )
    calibration_fraction: float | Auto = Field(
        "auto",
        description="fraction of the validation rows that is kept for calibration and decisions and "
        "selects no checkpoint; auto: a third of at least 500 rows, or half if [decide] sets a target; 0: "
        "none",
    )
    reader: str = Field("auto", description="name of a reader, or the path of your own reader.py")
    sheet: str | None = Field(
        None, min_length=1, description="sheet of an Excel workbook; default: the first visible sheet"
    )

    @field_validator("calibration_fraction")
    @classmethod
    def _part(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not 0 <= value < 1:
            raise ValueError('must be at least 0 and below 1, or "auto"')
        return value

    @field_validator("validation", "test")
    @classmethod
    def _no_fraction(cls, value: str | None, info: ValidationInfo) -> str | None:
        fraction = fraction_in(value)
        if fraction is None:
            return value
        held_out = f"data.validation_fraction={fraction:g}"
        if info.field_name == "validation":
            raise ValueError(f"expected a file. To hold out that share of the training rows, set {held_out}")
        raise ValueError(f"expected a file. To hold out that share, set data.test_fraction={fraction:g}")

    @field_validator("test_fraction")
    @classmethod
    def _room_for_training(cls, value: float, info: ValidationInfo) -> float:
        validation = info.data.get("validation_fraction", 0)
        if value + validation >= 1:
            raise ValueError(
                f"data.validation_fraction={validation:g} and this fraction leave no rows for training"
            )
        return value

    @field_validator("split_column")
    @classmethod
    def _one_way_to_split(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("time") is not None:
            raise ValueError("data.time also splits the rows. Set only one of them")
        return value

    @field_validator("text", mode="before")
    @classmethod
    def _text_columns(cls, value: object) -> object:
        if isinstance(value, int):
            return (str(value),)
        if isinstance(value, list | tuple):
            return tuple(str(part) for part in value)
        return comma_separated(value)


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
        "validation rows together, and save that model; the scores are those of the first model",
    )
    seeds: int = Field(
        1, ge=1, le=1000, description="number of seeds to train, from train.seed on; the best one is kept"
    )
    baselines: bool = Field(
        True, description="compare the model with simple models, if the task supports it: see the report"
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


class CrossValidateConfig(Section):
    """The folds of `bertune cross-validate`. Not used by other commands."""

    folds: int = Field(
        5, ge=2, description="number of folds; ignored if data.split_column holds fold numbers"
    )
    repeats: int = Field(1, ge=1, description="number of times that all rows are divided into folds anew")
    keep_models: bool = Field(True, description="whether to keep the model of every fold")


class DecideConfig(Section):
    """Calibration, and which predictions a model may use alone. All others are marked for review."""

    calibration: Literal["auto", "none"] = Field(
        "auto",
        description="temperature scaling of probabilities; auto: if there are calibration rows; none: off",
    )
    max_error: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="guarantee: at most this share of the answers that the model gives alone is wrong; per "
        "entity or label for tasks that predict several",
    )
    confidence: float = Field(
        0.95, gt=0, lt=1, description="probability with which the guarantee of decide.max_error holds"
    )
    abstain_below: float | None = Field(
        None,
        gt=0,
        le=1,
        description="mark predictions with a lower probability for review, without a guarantee",
    )
    objective: Literal["none", "f1", "precision", "recall", "cost"] = Field(
        "none",
        description="what the cutoff of each label is chosen for: the best F1, decide.target of precision or "
        "recall, or the lowest cost; single-label tasks: with two labels, or cost",
    )
    target: float | None = Field(
        None, gt=0, le=1, description="minimum precision or recall for decide.objective"
    )
    costs: dict[str, float] | None = Field(
        None,
        min_length=1,
        description="costs of errors, 1 by default: GOLD>PREDICTED=10,…; for several labels per text: "
        "missed=5,wrong=1, or missed LABEL=5",
    )

    @field_validator("costs", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        """Parse `spam>ham=1,ham>spam=10` from the command line."""
        if not isinstance(value, str):
            return value
        pairs = [part.rpartition("=") for part in value.split(",")]
        return {name.strip(): cost.strip() for name, _, cost in pairs}

    @field_validator("costs")
    @classmethod
    def _positive(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for name, cost in (value or {}).items():
            if not cost > 0:
                raise ValueError(f'the cost of "{name}" must be greater than 0')
        return value

    def refuse_contradictions(self) -> None:
        """Raise ConfigError for settings that exclude or need each other."""
        needs_target = self.objective in ("precision", "recall")
        if needs_target and self.target is None:
            raise ConfigError(
                f"decide.objective={self.objective} needs a minimum. Set decide.target, such as 0.9"
            )
        if self.target is not None and not needs_target:
            raise ConfigError("decide.target is the minimum of decide.objective=precision or recall. Set one")
        if self.objective == "cost" and self.costs is None:
            raise ConfigError("decide.objective=cost needs the costs of errors. Set decide.costs")
        if self.costs is not None and self.objective != "cost":
            raise ConfigError(
                "decide.costs only applies to decide.objective=cost. Set it, or remove the costs"
            )
        if self.max_error is not None and self.abstain_below is not None:
            raise ConfigError(
                "decide.max_error and decide.abstain_below both set a threshold. Keep one of them"
            )

    @property
    def has_target(self) -> bool:
        """Whether a decision rule is to be fitted."""
        return self.max_error is not None or self.abstain_below is not None or self.objective != "none"


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
        "auto", description="largest loss of the score that selects checkpoints; auto: by format"
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


class ServeConfig(Section):
    """The HTTP service and the limits that protect it. Not used in training."""

    backend: Literal["auto", "torch", "onnx"] = Field(
        "auto", description="what computes the outputs; auto: the fastest, measured at the start"
    )
    max_batch_tokens: int | Auto = Field("auto", description="padded tokens computed at a time")
    max_queued_tokens: int = Field(
        500_000,
        ge=1,
        description="tokens that may wait; further requests are refused with 429, and so are those that "
        "would wait for more than half of serve.timeout",
    )
    max_texts: int = Field(1000, ge=1, description="texts in a request")
    max_body_mb: float = Field(10, gt=0, description="size of a request body in MB")
    max_file_mb: float = Field(1000, gt=0, description="size of an uploaded file to label, in MB")
    timeout: float = Field(30, gt=0, description="seconds after which a waiting request is refused with 503")
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


class GateConfig(BaseModel):
    """Quality gates. The keys are names of scores, such as gate.accuracy=0.9 or gate.log_loss=0.5.

    If a final score does not reach its limit (or exceeds it, if lower is better), the run is completed and
    reported, and the command exits with code 5.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, float]

    @property
    def limits(self) -> dict[str, float]:
        """The limits by score."""
        return dict(self.__pydantic_extra__ or {})


# The sections that do not concern a single training; a run does not record them.
AFTER_TRAINING = ("cross_validate", "predict", "export", "serve")


class Config(Section):
    """All settings. The command line, TOML files and the Python interface share this definition."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    task: TaskConfig = TaskConfig()
    train: TrainConfig = TrainConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    machine: MachineConfig = MachineConfig()
    cross_validate: CrossValidateConfig = CrossValidateConfig()
    gate: GateConfig = GateConfig()
    decide: DecideConfig = DecideConfig()
    predict: PredictConfig = PredictConfig()
    export: ExportConfig = ExportConfig()
    serve: ServeConfig = ServeConfig()

    def to_settings(self) -> Settings:
        """The training settings that are set, as nested plain values.

        `Config.model_validate` restores an equal Config from them.
        """
        found = self.model_dump(mode="json", exclude_none=True, exclude=set(AFTER_TRAINING))
        return {section: values for section, values in found.items() if values or section != "gate"}

    def to_toml(self) -> str:
        """The complete settings as a TOML document, which `bertune.settings.read_toml` reads."""
        import tomlkit  # only to write

        return tomlkit.dumps(self.to_settings())
