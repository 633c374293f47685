"""The texts and labels that estimators accept, in the forms of scikit-learn.

Dimensions: N rows, K labels of the multi-label case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.data.cell_values import is_missing
from bertune.errors import DataError, counted
from bertune.files import shown
from bertune.tasks.parts.label_names import label_name

_ACCEPTED = "Pass a list of texts or of tuples of texts, an array, or a pandas Series or DataFrame of texts"


class EstimatorInputError(DataError, ValueError):
    """Invalid input of an estimator; also a ValueError, as in scikit-learn."""


class EstimatorTypeError(DataError, TypeError):
    """Input of a type that no estimator accepts; also a TypeError, as in scikit-learn."""


@dataclass(frozen=True)
class Texts:
    """The rows of X."""

    rows: list[tuple[str, ...]]  # [N], each with the texts of a row
    names: tuple[str, ...] | None = None  # column names of a data frame
    is_table: bool = False  # whether X has two dimensions

    @property
    def num_columns(self) -> int:
        """The number of texts per row."""
        return len(self.rows[0])


def texts_of(X: Any) -> Texts:
    """The rows of a list, array, Series or DataFrame. Raises EstimatorInputError, EstimatorTypeError."""
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise EstimatorTypeError(
            f"X is a sparse matrix, but the input of a text model cannot be sparse. {_ACCEPTED}"
        )
    if isinstance(X, str | bytes) or not hasattr(X, "__len__"):
        raise EstimatorTypeError(f"X must hold several texts, got {shown(X)}. {_ACCEPTED}")
    names: tuple[str, ...] | None = None
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):
        columns = list(X.columns)
        names = tuple(columns) if all(isinstance(name, str) for name in columns) else None
    values = X.to_numpy() if hasattr(X, "to_numpy") else X
    is_table = names is not None
    if isinstance(values, np.ndarray):
        if values.ndim not in (1, 2):
            raise EstimatorInputError(f"X has {values.ndim} dimensions, expected 1 or 2. {_ACCEPTED}")
        is_table = is_table or values.ndim == 2
        values = values.tolist()
    if not len(values):
        raise EstimatorInputError(
            "Found array with 0 sample(s) while a minimum of 1 is required: X has no texts"
        )
    rows = [_row(number, value) for number, value in enumerate(values)]
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise EstimatorInputError(
                f"X, row {number}: {counted(len(row), 'text')}, but row 0 has {len(rows[0])}. Pass the same "
                "number of texts in each row"
            )
    if not rows[0]:
        raise EstimatorInputError(
            f"Found array with 0 feature(s) (shape=({len(rows)}, 0)) while a minimum of 1 is required"
        )
    return Texts(rows, names, is_table)


def _row(number: int, value: Any) -> tuple[str, ...]:
    parts = tuple(value) if isinstance(value, list | tuple | np.ndarray) else (value,)
    for part in parts:
        if not isinstance(part, str):
            what = "is missing (NaN or None)" if is_missing(part) else f"is not a text: {shown(part)}"
            raise EstimatorInputError(f"X, row {number} {what}. {_ACCEPTED}")
        if not part.strip():
            raise EstimatorInputError(f"X, row {number}: the text is empty. Remove the row")
    return tuple(str(part) for part in parts)  # str(): NumPy has its own string type


@dataclass(frozen=True)
class Targets:
    """The labels of a classifier, and their names in the model."""

    classes: NDArray[Any]  # as in scikit-learn: sorted labels; for several labels per row, 0 to K - 1
    names: tuple[str, ...]  # of the classes, in their order
    codes: NDArray[np.int64]  # [N], positions in `classes`; with several labels, [N, K] of 0 and 1
    is_multilabel: bool = False


def targets_of(y: Any, num_rows: int, owner: str) -> Targets:
    """The labels of a classifier; an indicator matrix [N, K] stands for several labels per row.

    Raises EstimatorInputError, and the ValueError of scikit-learn for other targets, such as continuous ones.
    """
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import column_or_1d

    _refuse_none(y, owner)
    _refuse_unusable_labels(y)
    columns = list(y.columns) if hasattr(y, "columns") else None
    if type_of_target(y, input_name="y", raise_unknown=True) == "multilabel-indicator":
        dense = y.toarray() if hasattr(y, "toarray") else y
        codes_NK = np.asarray(dense, dtype=np.int64)
        _refuse_length(len(codes_NK), num_rows)
        classes = np.arange(codes_NK.shape[1])
        names = _names(classes.tolist() if columns is None else columns)
        return Targets(classes, names, codes_NK, is_multilabel=True)
    values_N = column_or_1d(y, warn=True)
    check_classification_targets(values_N)
    _refuse_length(len(values_N), num_rows)
    classes, codes_N = np.unique(values_N, return_inverse=True)
    if len(classes) < 2:
        raise EstimatorInputError(
            f"{owner} needs at least two classes, but y has only one class: {classes.tolist()[0]!r}"
        )
    return Targets(classes, _names(classes.tolist()), codes_N.astype(np.int64))


def numbers_of(y: Any, num_rows: int, owner: str) -> NDArray[np.float64]:
    """The numbers that a regressor predicts, [N]. Raises EstimatorInputError, ValueError."""
    from sklearn.utils.validation import assert_all_finite, column_or_1d

    _refuse_none(y, owner)
    values_N = column_or_1d(y, warn=True, dtype=np.float64)
    assert_all_finite(values_N, input_name="y")
    _refuse_length(len(values_N), num_rows)
    if len(values_N) == 1 or (values_N == values_N[0]).all():
        raise EstimatorInputError(
            f"{owner} needs at least two different numbers, but y has n_samples = {len(values_N)} and only "
            f"the number {values_N[0]:g}"
        )
    return np.asarray(values_N, np.float64)


def _refuse_none(y: Any, owner: str) -> None:
    if y is None:
        raise EstimatorInputError(
            f"{owner} requires y to be passed, but the target y is None. Pass one label for each text"
        )


def _refuse_unusable_labels(y: Any) -> None:
    """Raise EstimatorInputError for missing labels, and for labels that cannot be sorted."""
    values_N = np.asarray(y) if hasattr(y, "dtype") or hasattr(y, "__array__") else np.array(y, dtype=object)
    if values_N.ndim != 1 or values_N.dtype.kind not in "Of":
        return
    for number, value in enumerate(values_N.tolist()):
        if is_missing(value):
            raise EstimatorInputError(
                f"y, row {number}: the label is missing; input y contains NaN or None. Remove the row"
            )
    kinds = {"text" if isinstance(value, str) else "number" for value in values_N.tolist()}
    if len(kinds) > 1:
        raise EstimatorInputError(
            "y has labels of different types, texts and numbers. Use labels of one type, such as map(str, y)"
        )


def _refuse_length(num_labels: int, num_rows: int) -> None:
    if num_labels != num_rows:
        raise EstimatorInputError(
            f"Found input variables with inconsistent numbers of samples: [{num_rows}, {num_labels}]. Pass "
            "one label for each text"
        )


def _names(classes: Sequence[Any]) -> tuple[str, ...]:
    """A distinct name for each class: its text where that is unambiguous, otherwise with a number.

    bertune strips label names and has one spelling for booleans, so that True and "true" would be the same.
    """
    names = [label_name(str(value)) for value in classes]
    if all(names) and len({name.casefold() for name in names}) == len(names):
        return tuple(names)
    return tuple(f"class {number}: {name}".strip() for number, name in enumerate(names))
