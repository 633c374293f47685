"""How an error shows a piece of a file."""


def shortened(text: str, most: int = 60) -> str:
    """The start of a text on one line, for an error."""
    shown = text[: most + 1].rstrip("\r\n").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return shown if len(shown) <= most else f"{shown[:most]}…"
