"""The settings in [data]."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from bertune.config.section import Auto, Section, comma_separated, fraction_in


class DataConfig(Section):
    """The data files, and how to read them. Columns are given by name, or by number from 0."""

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
        description="drop: like data.deduplicate, and also for nearly equal rows, whose texts "
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
        description="fraction of the validation rows used for calibration and decisions instead of "
        "checkpoint selection; auto: a third of at least 500 rows, or half if [decide] sets a target; 0: "
        "none",
    )
    reader: str = Field("auto", description="name of a reader, or the path of your own reader.py")
    decimal: Literal["auto", "point", "comma"] = Field(
        "auto",
        description="decimal mark of numbers to predict that are written as text; the other mark separates "
        "thousands; auto: as the numbers of the column show, and an error for 1,000 if none does",
    )
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
