"""`bertune tasks`: list the tasks and describe their input."""

from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, print_json


def tasks(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="task, or Python file with a custom task", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the tasks, or show the columns, options, scores, data sets, recipes and sample data of one."""
    from bertune import task_info
    from bertune.console import show

    found = task_info.tasks() if name is None else task_info.task(name)
    if as_json:
        print_json(found)
        return
    console = show.results()
    if isinstance(found, list):
        for entry in found:
            for kind in ("data_sets", "recipes"):
                entry[f"num_{kind}"] = len(entry[kind])
        columns = ("name", "about", "primary", "num_data_sets", "num_recipes")
        heads = ("task", "description", "score", "data sets", "recipes")
        show.print_plain_table(console, heads, columns, found)
        show.echo(
            console,
            "\n`bertune train FILE task.name=NAME` trains a task; `bertune tasks NAME` shows its details",
            "dim",
        )
        return
    show.echo(console, f"{found['name']}: {found['about']}\n")
    show.echo(console, "Default text columns (otherwise set data.text):")
    for group in found["text"]:
        show.echo(console, f"  {', '.join(group)}")
    if found["label"]:
        show.echo(console, f"Default label columns (otherwise set data.label): {', '.join(found['label'])}")
    show.echo(console, "")
    keys = ("key", "takes", "default", "meaning")
    options = [{**each, "default": task_info.as_written(each["default"])} for each in found["options"]]
    show.print_plain_table(console, ("option", *keys[1:]), keys, options)
    show.echo(
        console, f"\nScores: {', '.join(found['scores'])}; {found['primary']} selects the checkpoint.\n"
    )
    for kind, title in (("data_sets", "data set"), ("recipes", "recipe")):
        if found[kind]:
            show.print_plain_table(console, (title, "description"), ("name", "about"), found[kind])
            show.echo(console, "")
    show.echo(console, "Sample data (JSON Lines):")
    for line in found["example"]:
        show.echo(console, line)
