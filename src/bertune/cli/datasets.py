"""`bertune datasets`: list the named data sets and recipes."""

from typing import Annotated, Any

import typer

from bertune.cli.arguments import AsJson, print_json


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="named data set or recipe", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the named data sets and recipes, or show the files, source and settings of one.

    A recipe is a named data set with the settings of a published result. Downloads nothing.
    """
    from bertune import task_info
    from bertune.console import show

    found = task_info.data_sets() if name is None else task_info.data_set(name)
    if as_json:
        print_json(found)
        return
    console = show.results()
    if isinstance(found, dict):
        _show_one(console, found)
        return
    for kind in ("data set", "recipe"):
        rows = [{**entry, "here": _here(entry)} for entry in found if entry["kind"] == kind]
        heads = (kind, "task", "on this machine", "description")
        show.print_plain_table(console, heads, ("name", "task", "here", "about"), rows)
        show.echo(console, "")
    show.echo(
        console,
        "`bertune train NAME` trains on a data set; `bertune datasets NAME` shows its files and settings",
        "dim",
    )


def _here(entry: dict[str, Any]) -> str:
    """How much of a data set is on this machine: its size, "part" or "no"."""
    sizes = [file["bytes"] for file in entry["files"] if file["bytes"] is not None]
    if entry["on_this_machine"]:
        return _size(sum(sizes))
    return "part" if sizes else "no"


def _size(number: int) -> str:
    """A number of bytes in KiB or MiB."""
    if number < 1 << 20:
        return f"{number / (1 << 10):,.0f} KiB"
    return f"{number / (1 << 20):,.1f} MiB"


def _show_one(console: Any, found: dict[str, Any]) -> None:
    from bertune import task_info
    from bertune.console import show

    show.echo(console, f"{found['name']}: {found['about']}\n")
    show.echo(console, f"task: {found['task']}")
    if found["source"]:
        show.echo(console, f"recipe for the data set {found['source']}")
    if found["recipes"]:
        show.echo(console, f"recipes: {', '.join(found['recipes'])}")
    show.echo(console, "")
    rows = [
        {**file, "size": "" if file["bytes"] is None else _size(file["bytes"]), "here": file["path"] or "no"}
        for file in found["files"]
    ]
    heads = ("split", "file", "size", "on this machine")
    show.print_plain_table(console, heads, ("split", "name", "size", "here"), rows)
    if found["put_at"]:
        show.echo(console, "")
    for file in found["files"]:
        if file["not_published"]:
            show.echo(console, f"{file['name']} is not published for download: {file['not_published']}")
    for source in found["published_at"]:
        url, _, _ = source["url"].partition("?")
        show.echo(console, f"published at {url} (at most {_size(source['at_most_bytes'])})")
    if found["put_at"]:
        show.echo(console, f"to use your own copy of the files, put them in {found['put_at']}")
    rows = [{"key": key, "value": task_info.as_written(value)} for key, value in found["settings"].items()]
    show.echo(console, "")
    show.print_plain_table(console, ("setting", "value"), ("key", "value"), rows)
