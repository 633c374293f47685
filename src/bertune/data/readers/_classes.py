"""The names of classes that a Hugging Face data set stores as numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertune.errors import DataError

NO_LABEL = -1  # the convention for the hidden labels of test sets


def class_name(value: Any, classes: Sequence[str]) -> Any:
    """The name of a class number, inside lists too; None for a missing or hidden one.

    Raises IndexError for a number that no class has.
    """
    if isinstance(value, list):
        return [class_name(item, classes) for item in value]
    if value is None or value == NO_LABEL:
        return None
    if value < 0:
        raise IndexError(f"class number {value}")
    return classes[value]


def classes_in(features: Any) -> dict[str, list[str]]:
    """The class names of each column, from the "features" that `datasets` writes as JSON."""
    found = {}
    for column, feature in features.items() if isinstance(features, Mapping) else ():
        names = _names(feature)
        if names:
            found[str(column)] = names
    return found


def _names(feature: Any) -> list[str] | None:
    if isinstance(feature, list) and len(feature) == 1:  # how older versions write a list of classes
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
    """A row with names in the place of class numbers. Raises DataError for a number that no class has."""
    for column, names in classes.items():
        if column in values:
            try:
                values[column] = class_name(values[column], names)
            except (IndexError, TypeError) as error:
                raise DataError(
                    f'{place}: column "{column}" holds {values[column]!r:.60}, which is not the number of one'
                    f" of its {len(names)} classes. Save the data set again"
                ) from error
    return values
