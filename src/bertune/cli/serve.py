"""`bertune serve`: answer HTTP requests with trained models."""

import os
from typing import Annotated

import typer


def serve(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|EXPORT|KEY=VALUE",
            help="runs, exports or pretrained encoders, each also as NAME=FOLDER; and settings",
            show_default=False,
        ),
    ],
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 for all")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 picks a free one", min=0, max=65535)] = 8000,
    fallback: Annotated[
        str | None,
        typer.Option(
            help="URL of a System One service for questions that no served model can answer",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve models over HTTP, with a web page to try them.

    Prints the URL on stdout when all models are loaded. Ctrl-C or SIGTERM stops the service after the
    requests in flight.
    """
    from bertune.cli.memory import refuse_small_address_space
    from bertune.optional_packages import require

    require("serve", "for `bertune serve`")
    from bertune.serve.sources import named_sources, split_arguments

    models, settings = split_arguments(arguments)
    sources = named_sources(models)
    for source in sources:
        refuse_small_address_space(source.place)
    from bertune.allocator import tune_allocator
    from bertune.serve import logs, server
    from bertune.serve.openmp import limit_spinning
    from bertune.settings import parse_overrides

    tune_allocator()
    limit_spinning()
    # Tokenize in the calling thread: requests have few texts, and other threads would compete with the model.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logs.configure()
    server.serve(
        sources,
        parse_overrides(settings),
        host,
        port,
        fallback,
        on_ready=lambda url: print(url, flush=True),
    )
