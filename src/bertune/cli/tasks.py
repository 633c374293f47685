"""`bertune tasks`: what can be learned, and what each task reads."""

from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, print_json


def tasks(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="a task, or a file of your own", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the tasks; of one, its columns, options, scores, named data sets, recipes and an example file."""
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
        heads = ("task", "what is learned", "score", "data sets", "recipes")
        show.print_plain_table(console, heads, columns, found)
        show.echo(console, "\nbertune train FILE task.name=NAME · bertune tasks NAME says more", "dim")
        return
    show.echo(console, f"{found['name']}: {found['about']}\n")
    show.echo(console, "Columns taken for the text without asking (else data.text=…):")
    for group in found["text"]:
        show.echo(console, f"  {', '.join(group)}")
    if found["label"]:
        show.echo(console, f"and for the label (else data.label=…): {', '.join(found['label'])}\n")
    keys = ("key", "takes", "default", "meaning")
    show.print_plain_table(console, ("option", *keys[1:]), keys, found["options"])
    show.echo(
        console, f"\nScores: {', '.join(found['scores'])}; {found['primary']} picks the weights kept.\n"
    )
    for kind, title in (("data_sets", "data set by name"), ("recipes", "recipe")):
        if found[kind]:
            show.print_plain_table(console, (title, "what it is"), ("name", "about"), found[kind])
            show.echo(console, "")
    show.echo(console, "An example file, as .jsonl:")
    for line in found["example"]:
        show.echo(console, line)
