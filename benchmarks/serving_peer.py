"""The service that `bertune serve` is compared with: FastAPI and a transformers pipeline, as in tutorials.

    python benchmarks/serving_peer.py MODEL [--one]

MODEL is the model folder of a run. The endpoint is a plain function, which FastAPI calls in one of 40
threads. With `--one`, it is a coroutine, so that texts are predicted one after the other. Prints the URL.
uvicorn uses uvloop if it is installed, as with `uvicorn[standard]`.
"""

from __future__ import annotations

import argparse
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Request(BaseModel):
    """The body of a request; `truncate` is accepted for the clients of other services."""

    inputs: str
    truncate: bool = False


def make_app(model: str, one: bool) -> FastAPI:
    """The application."""
    app = FastAPI()
    classify = pipeline("text-classification", model=model, top_k=None, device="cpu")

    def answer(request: Request) -> Any:
        return classify(request.inputs, truncation=request.truncate)

    async def answer_one(request: Request) -> Any:
        return classify(request.inputs, truncation=request.truncate)

    app.post("/predict")(answer_one if one else answer)
    return app


def main() -> None:
    """Serve until a signal arrives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--one", action="store_true")
    options = parser.parse_args()
    app = make_app(options.model, options.one)
    # For a socket that is not explicitly of TCP, asyncio leaves Nagle's algorithm on: 40 ms per response.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        print("http://{}:{}".format(*listener.getsockname()), flush=True)
        uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
