"""Lists and objects in cells, as plain Python values. They may be written as text.

A CSV file has no lists. Instead, cells hold JSON, Python's `repr` (written by pandas for lists and objects)
or NumPy's text (written by pandas for arrays). So `["a", "b"]`, `['a', 'b']`, `['a' 'b']` and
`array(['a', 'b'], dtype=object)` are the same list.
"""

import ast
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

from bertune.data.readers._objects import JsonFault, loads
from bertune.data.readers._shown import shortened
from bertune.data.rows import Row
from bertune.errors import DataError

_STRING = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_ITEM = rf"""(?:{_STRING}|[^\s\[\](){{}}'",]++)"""
# A list as NumPy prints it: items separated by spaces or line breaks.
_ARRAY_TEXT = re.compile(rf"\[\s*{_ITEM}(?:\s+{_ITEM})*+\s*\]", re.DOTALL)
_ITEMS = re.compile(_ITEM, re.DOTALL)
# NumPy prints objects, lists and arrays inside an array without commas between them.
_SIDE_BY_SIDE = re.compile(rf"{_STRING}|([\]}})])(\s+)(?=[\[{{(]|list\(|array\()", re.DOTALL)
# Python joins adjacent string literals; no `repr` writes them that way, so a comma is missing.
_JOINED = re.compile(rf"(?:{_STRING})(\s*(?=['\"]))?", re.DOTALL)
_ELIDED = re.compile(rf"{_STRING}|(\.\.\.)", re.DOTALL)
# The calls that the `repr` of NumPy values contains.
_WRAPPERS = re.compile(r"(array|tensor|list|set|frozenset|str_|bool|bool_|u?int\d+|float\d+)")
# Lists that do not begin with a bracket: `array([0, 1])`, `tensor([0, 1])`, `set()`, and tuples of texts,
# numbers or lists. A text in parentheses is not a tuple.
_CALL = re.compile(r"(?:\w+\.)?(?:array|tensor|frozenset)\(\s*[\[{(].*\)|(?:frozen)?set\(\s*\)", re.DOTALL)
_TUPLE = re.compile(rf"\(\s*(?:{_STRING}|[-+]?[\d.]+|True|False|None|[\[{{(]|\w+\.\w+\().*\)", re.DOTALL)


class UnreadableCellError(ValueError):
    """A text begins like a list or an object but cannot be read as one. `remedy` says what to do.

    `is_fault` is true if the text is a list or an object that bertune refuses. Otherwise it may be plain
    text.
    """

    def __init__(self, reason: str, remedy: str, is_fault: bool) -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.is_fault = is_fault


def plain(value: Any) -> Any:
    """Convert a value to plain Python, recursively.

    Arrays, tuples and sets become lists; NaN, NaT and NA become None.
    """
    if value is None or isinstance(value, str | int):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)  # sets are unordered
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return None if is_missing(value) else value


def is_missing(value: Any) -> bool:
    """Whether a value is missing: None, NaN, or pandas' NaT and NA."""
    if value is None or (isinstance(value, float) and value != value):
        return True
    return type(value).__name__ in ("NaTType", "NAType")


def is_written_out(text: str) -> bool:
    """Whether a text begins like a list or an object, or has the form of an array or a tuple."""
    text = text.strip()
    return text.startswith(("[", "{")) or _CALL.fullmatch(text) is not None or is_written_tuple(text)


def is_written_tuple(text: str) -> bool:
    """Whether a text has the form of a Python tuple, such as `(0, 1)`, which may also be plain text."""
    text = text.strip()
    return text.startswith("(") and "," in text and _TUPLE.fullmatch(text) is not None


def read_written(text: str) -> Any:
    """Parse a list or an object that is written as text.

    JSON is tried first, then NumPy's text, then a Python literal. Nothing is evaluated as code. Raises
    UnreadableCellError.
    """
    text = text.strip()
    try:
        return plain(loads(text))
    except JsonFault as error:
        raise UnreadableCellError(error.msg, error.remedy, is_fault=True) from error
    except json.JSONDecodeError as error:
        reason = f"as JSON: {error.msg} at character {error.pos + 1}"
    if any(match[1] for match in _ELIDED.finditer(text)):
        raise UnreadableCellError(
            "it was abbreviated with ... when the file was written",
            "Write the file again with complete lists, for example as JSON Lines (pandas: "
            'to_json(orient="records", lines=True))',
            is_fault=_ARRAY_TEXT.fullmatch(text) is not None,
        )
    try:
        if _ARRAY_TEXT.fullmatch(text):
            return [_array_item(item) for item in _ITEMS.findall(text[1:-1])]
        return plain(_python_literal(_SIDE_BY_SIDE.sub(_with_comma, text)))
    except ValueError as error:
        raise UnreadableCellError(
            f"{reason}; not a Python literal or NumPy array either",
            "Correct the cell, or write it as JSON",
            is_fault=False,
        ) from error


def cell_value(row: Row, column: str, expected: str) -> Any:
    """The plain value of a cell. A text that is written like a list or an object is parsed.

    `expected` describes in an error message what the cell should hold. Raises DataError.
    """
    value = plain(row.values.get(column))
    if not (isinstance(value, str) and is_written_out(value)):
        return value
    try:
        return read_written(value)
    except UnreadableCellError as error:
        raise DataError(
            f'{row.origin}: column "{column}" begins like a list or an object but cannot be read as one '
            f"({error}): {shortened(value)}. Expected {expected}. {error.remedy}"
        ) from error


def _array_item(item: str) -> Any:
    if item[0] in "'\"":
        return ast.literal_eval(item)
    if item in ("True", "False", "None", "nan"):
        return {"True": True, "False": False}.get(item)
    digits = item.lstrip("+-")
    if digits.isdecimal() and digits != "0" and digits[0] == "0":
        raise ValueError(f"NumPy writes no number like {item}")
    try:
        return int(item) if digits.isdecimal() else float(item)
    except ValueError:
        raise ValueError(f"not a value of a NumPy array: {item}") from None


def _with_comma(match: re.Match[str]) -> str:
    return f"{match[1]}, " if match[1] else match[0]


def _python_literal(text: str) -> Any:
    """The value of a Python literal, which may contain NumPy's wrappers. Raises ValueError."""
    if any(match[1] is not None for match in _JOINED.finditer(text)):
        raise ValueError("two strings without a comma between them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in a cell are data, not code to warn about
            return ast.literal_eval(_Unwrapped().visit(ast.parse(text, mode="eval")))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a Python literal: {error}") from error


class _Unwrapped(ast.NodeTransformer):
    """Removes NumPy's wrappers from a literal: `array([1], dtype=int64)`, `np.int64(1)`, `np.True_`.

    Sets become lists.
    """

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not node.args and _last_name(node.func) in ("set", "frozenset"):
            return ast.copy_location(ast.List([], ast.Load()), node)
        if len(node.args) != 1 or not _WRAPPERS.fullmatch(_last_name(node.func)):
            raise ValueError("a call")
        inner: ast.AST = self.visit(node.args[0])
        return inner

    def visit_Set(self, node: ast.Set) -> ast.AST:
        # An array of PostgreSQL, {0,1,0}, may repeat items; the items of a Python set have no order.
        inner = self.generic_visit(node)
        assert isinstance(inner, ast.Set)
        return ast.copy_location(ast.List(inner.elts, ast.Load()), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        values = {"True_": True, "False_": False, "nan": None}
        if node.attr not in values:
            raise ValueError("an attribute")
        return ast.copy_location(ast.Constant(values[node.attr]), node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id != "nan":
            raise ValueError(f"the name {node.id}")
        return ast.copy_location(ast.Constant(None), node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        if len(set(keys)) != len(node.keys) or not all(isinstance(key, str) for key in keys):
            raise ValueError("an object whose keys are not distinct strings")
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str | int | float | None):
            raise ValueError(f"a {type(node.value).__name__}")
        return node


def _last_name(node: ast.expr) -> str:
    """`int64` for both `int64` and `np.int64`; empty for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
