"""Class names of Hugging Face data sets, which store classes as numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertune.errors import DataError

NO_LABEL = -1  # by convention, the label of test examples whose gold label is withheld


def class_name(value: Any, classes: Sequence[str]) -> Any:
    """The name of a class number, also inside lists; None for a missing or withheld label.

    Raises IndexError for a number without a class.
    """
    if isinstance(value, list):
        return [class_name(item, classes) for item in value]
    if value is None or value == NO_LABEL:
        return None
    if value < 0:
        raise IndexError(f"class number {value}")
    return classes[value]


def classes_in(features: Any) -> dict[str, list[str]]:
    """The class names by column, from the "features" that `datasets` writes as JSON."""
    found = {}
    for column, feature in features.items() if isinstance(features, Mapping) else ():
        names = _names(feature)
        if names:
            found[str(column)] = names
    return found


def _names(feature: Any) -> list[str] | None:
    if isinstance(feature, list) and len(feature) == 1:  # a list of classes, as older versions write it
        return _names(feature[0])
    if not isinstance(feature, Mapping):
        return None
    if feature.get("_type") in ("Sequence", "List", "LargeList"):
        return _names(feature.get("feature"))
    names = feature.get("names")
    is_class = feature.get("_type") == "ClassLabel" and isinstance(names, list)
    return [str(name) for name in names] if is_class and names else None


def with_class_names(
    values: dict[str, Any], classes: Mapping[str, Sequence[str]], place: str
) -> dict[str, Any]:
    """Replace class numbers in a row by names. Raises DataError for a number without a class."""
    for column, names in classes.items():
        if column in values:
            try:
                values[column] = class_name(values[column], names)
            except (IndexError, TypeError) as error:
                raise DataError(
                    f'{place}: column "{column}" contains {values[column]!r:.60}, expected a class number'
                    f" from 0 to {len(names) - 1}. Save the data set again"
                ) from error
    return values
