"""Excerpts of files for error messages."""


def shortened(text: str, most: int = 60) -> str:
    """The first `most` characters of a text, with line breaks and tabs escaped, for an error message."""
    shown = text[: most + 1].rstrip("\r\n").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return shown if len(shown) <= most else f"{shown[:most]}…"
