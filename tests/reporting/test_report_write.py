"""The files of a report after writing succeeds or fails."""

import errno
import re
from pathlib import Path

import fake_runs
import matplotlib
import pytest
import task_runs

from bertune.errors import ResourceError
from bertune.reporting import fonts, write
from bertune.reporting.write import write_report

NAMES = [make.__name__ for make in (*fake_runs.EVERY_RUN, *task_runs.EVERY_RUN)]


@pytest.mark.parametrize("name", NAMES)
def test_every_run_gets_a_page_and_png_figures(report, name):
    written = report(name)
    assert written.path == written.run.path / "report" / "index.html"
    figures = sorted(path.name for path in written.path.parent.glob("*.png"))
    assert sorted({element.text for element in written.page.all("span", "file")}) == figures
    for figure in figures:
        assert (written.path.parent / figure).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_complete_run_has_all_four_figures(report):
    assert sorted(path.name for path in report("binary").path.parent.glob("*.png")) == [
        "confusion_matrix_test.png",
        "learning_curves.png",
        "score_by_batch.png",
        "token_lengths.png",
    ]


def test_a_rewrite_replaces_the_page_and_keeps_the_users_files(tmp_path):
    run = fake_runs.bare(tmp_path / "run")
    folder = write_report(run).parent
    (folder / "my notes.txt").write_text("mine")
    (folder / "index.html").write_text("old")
    write_report(run)
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "my notes.txt"]
    assert (folder / "my notes.txt").read_text() == "mine"
    assert (folder / "index.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_leaves_the_old_report_as_it_was(tmp_path, monkeypatch):
    run = fake_runs.bare(tmp_path / "run")
    page = write_report(run)
    before = page.read_bytes()

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write, "write_atomically", full)
    with pytest.raises(ResourceError, match="no space left"):
        write_report(run)
    assert page.read_bytes() == before
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_the_same_run_gives_the_same_bytes(report):
    written = report("four_labels")
    before = {path.name: path.read_bytes() for path in written.path.parent.iterdir()}
    write_report(written.run)
    assert {path.name: path.read_bytes() for path in written.path.parent.iterdir()} == before


def test_the_users_matplotlib_settings_are_neither_used_nor_changed(tmp_path, report):
    expected = report("interrupted").path
    run = fake_runs.interrupted(tmp_path / "interrupted")
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red", "font.size": 30}):
        before = dict(matplotlib.rcParams)
        page = write_report(run)
        assert dict(matplotlib.rcParams) == before
    own_folder = re.compile(rb"/\S+/interrupted")
    assert own_folder.sub(b"", page.read_bytes()) == own_folder.sub(b"", expected.read_bytes())
    for figure in ("learning_curves.png", "token_lengths.png"):
        assert page.with_name(figure).read_bytes() == expected.with_name(figure).read_bytes()


def test_labels_without_available_glyphs_are_numbered_and_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "CHINESE_FONTS", ())
    for cached in (fonts.families, fonts._glyphs):
        cached.cache_clear()
    try:
        run = fake_runs.four_labels(tmp_path / "run")
        page = write_report(run).read_text(encoding="utf-8")
    finally:
        for cached in (fonts.families, fonts._glyphs):
            cached.cache_clear()
    assert re.search(r"<i>1</i>\s*<bdi>财经</bdi>", page)
