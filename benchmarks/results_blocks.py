"""Sections of docs/results.md that other benchmarks write, each between two comments with its name."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "results.md"


def replace_block(name: str, text: str, page: Path = PAGE) -> None:
    """Replace the section `name` of the page, or append it."""
    content = page.read_text(encoding="utf-8") if page.is_file() else ""
    block = f"<!-- {name}: begin -->\n{text.strip()}\n<!-- {name}: end -->"
    pattern = re.compile(rf"<!-- {name}: begin -->.*?<!-- {name}: end -->", re.DOTALL)
    if pattern.search(content):
        content = pattern.sub(lambda _: block, content)
    else:
        content = f"{content.rstrip()}\n\n{block}\n"
    page.write_text(content, encoding="utf-8")


def blocks(content: str) -> str:
    """All such sections of a page, which is rewritten without them."""
    found = re.findall(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", content, re.DOTALL)
    texts = [
        match[0]
        for name in found
        if (match := re.search(rf"<!-- {name}: begin -->.*?<!-- {name}: end -->", content, re.DOTALL))
    ]
    return "".join(f"\n{text}\n" for text in texts)
