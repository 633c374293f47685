"""The endpoints of file jobs: upload, progress, result, cancellation."""

import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from bertune.data.formats import readable_suffixes
from bertune.predict.writers import VECTORS
from bertune.serve.files import Job, NotReady
from bertune.serve.refusals import BadRequest, Invalid
from bertune.serve.replies import json_response
from bertune.serve.service import ServedModel, Service
from bertune.serve.uploads import Upload

STREAMED = re.compile(r"/models/[^/]+/files")  # bodies that are received here, beyond serve.max_body_mb
_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    VECTORS: "application/octet-stream",
}


def router(service: Service) -> APIRouter:
    """The endpoints for a service."""
    routes = APIRouter(tags=["files"])

    @routes.post("/models/{name}/files", summary="Label a file in the background", status_code=202)
    async def upload(name: str, request: Request) -> Response:
        served = service.find(name)
        job = service.jobs.reserve(name)
        is_started = False
        try:
            await _receive(request, served, job, int(service.config.max_file_mb * 1e6))
            is_started = True
        finally:
            if not is_started:
                service.jobs.remove(job.id)
        return json_response({"job": job.id}, 202)

    async def _receive(request: Request, served: ServedModel, job: Job, max_bytes: int) -> None:
        form = Upload(request.headers.get("content-type", ""), job.inbox, readable_suffixes(), max_bytes)
        try:
            await form.receive(request.stream())
        except ClientDisconnect as error:
            raise BadRequest("the upload was interrupted") from error
        suffix, reading = _settings(form.fields, written_suffixes(served))
        job.file = form.file
        job.result = f"{form.file.rpartition('.')[0]}.labelled.{suffix}"
        service.jobs.start(
            job,
            served.model,
            served.batcher,
            reading,
            lambda rows: service.metrics.predicted(served.name, rows),
        )

    @routes.get("/jobs/{number}", summary="The state of a file job")
    async def progress(number: str) -> Response:
        return json_response(service.jobs.find(number).plain())

    @routes.get("/jobs/{number}/result", summary="The labelled file")
    async def result(number: str) -> Response:
        job = service.jobs.find(number)
        if job.state != "done":
            raise NotReady(f"the job is {job.state}, so it has no result")
        kind = _MEDIA_TYPES[job.result.rpartition(".")[2]]
        return FileResponse(
            job.target, filename=job.result, media_type=kind, headers={"X-Content-Type-Options": "nosniff"}
        )

    @routes.delete("/jobs/{number}", summary="Cancel a job and remove its files", status_code=204)
    async def cancel(number: str) -> Response:
        service.jobs.find(number)
        service.jobs.remove(number)
        return Response(status_code=204)

    return routes


def written_suffixes(served: ServedModel) -> list[str]:
    """The formats in which a model can write a labelled file."""
    found = ["csv", "jsonl"]
    found += ["parquet"] if ".parquet" in readable_suffixes() else []
    return [*found, VECTORS] if "vectors" in served.facts.can else found


def _settings(fields: dict[str, str], suffixes: list[str]) -> tuple[str, dict[str, Any]]:
    """The format of the result, and how the file is read. Raises Invalid."""
    unknown = fields.keys() - {"format", "text"}
    if unknown:
        raise Invalid(f'unknown field "{min(unknown)[:40]}". Expected fields: file, format, text')
    suffix = fields.get("format", "csv").removeprefix(".")
    if suffix not in suffixes:
        raise Invalid(f'cannot write "{suffix[:40]}". Expected one of: {", ".join(suffixes)}')
    columns = [name.strip() for name in fields.get("text", "").split(",") if name.strip()]
    return suffix, {"text": columns} if columns else {}
