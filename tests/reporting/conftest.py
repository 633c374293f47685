"""Fixture for reports of fake runs, each written once per session."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import fake_runs
import pytest
import task_runs
from page_reader import Page

from bertune.reporting.write import write_report
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
    """`report("binary")` returns the fake run of that name with its report."""

    @cache
    def write(name: str) -> Report:
        made = getattr(fake_runs, name, None) or getattr(task_runs, name)
        run: Run = made(tmp_path_factory.mktemp("runs") / name)
        return Report(run, write_report(run))

    return write
