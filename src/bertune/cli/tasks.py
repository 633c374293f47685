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
    """List the tasks; of one, its columns, options, scores and an example file."""
    from bertune import catalogue
    from bertune.cli import show

    found = catalogue.tasks() if name is None else catalogue.task(name)
    if as_json:
        print_json(found)
        return
    console = show.results()
    if isinstance(found, list):
        console.print(
            show.plain_table(("task", "what is learned", "score"), ("name", "about", "primary"), found)
        )
        show.say(console, "\nbertune train FILE task.name=NAME · bertune tasks NAME says more", "dim")
        return
    show.say(console, f"{found['name']}: {found['about']}\n")
    show.say(console, "Columns taken for the text without asking (else data.text=…):")
    for group in found["text"]:
        show.say(console, f"  {', '.join(group)}")
    if found["label"]:
        show.say(console, f"and for the label (else data.label=…): {', '.join(found['label'])}\n")
    keys = ("key", "takes", "default", "meaning")
    console.print(show.plain_table(("option", *keys[1:]), keys, found["options"]))
    show.say(console, f"\nScores: {', '.join(found['scores'])}; {found['primary']} picks the weights kept.\n")
    show.say(console, "An example file, as .jsonl:")
    for line in found["example"]:
        show.say(console, line)
