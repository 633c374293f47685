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
    from bertune import catalogue
    from bertune.console import show

    found = catalogue.tasks() if name is None else catalogue.task(name)
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
        console.print(show.plain_table(heads, columns, found))
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
    for kind, title in (("data_sets", "data set by name"), ("recipes", "recipe")):
        if found[kind]:
            console.print(show.plain_table((title, "what it is"), ("name", "about"), found[kind]))
            show.say(console, "")
    show.say(console, "An example file, as .jsonl:")
    for line in found["example"]:
        show.say(console, line)
