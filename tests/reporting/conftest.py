"""Owns the fake runs with their reports, each written once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import fake_runs
import pytest
import task_runs
from page_reader import Page

from bertune.reporting import write_report
from bertune.run import Run


@dataclass
class Report:
    """A run with its written report."""

    run: Run
    path: Path
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.page = Page(self.path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Report]:
    """`report("binary")` is that fake run with its report, written once for all tests."""

    @cache
    def write(name: str) -> Report:
        made = getattr(fake_runs, name, None) or getattr(task_runs, name)
        run: Run = made(tmp_path_factory.mktemp("runs") / name)
        return Report(run, write_report(run))

    return write
