"""The format of text-embeddings-inference: /predict, /rerank, /embed, /similarity, /info and /health.

Inputs, outputs, status codes and error bodies are the same as in that server, so that its clients work
unchanged. Dimensions: N texts, H numbers of a vector, C labels.
"""

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, WithJsonSchema
from starlette.responses import Response

from bertune.errors import listed
from bertune.predict.predictor import Decode
from bertune.serve.endpoints import Body, Endpoints, Unsuited, checked, suited
from bertune.serve.refusals import ErrorBody, Invalid, Refusal
from bertune.serve.service import ServedModel, Service
from bertune.tasks import FittedTask, Output
from bertune.text.sequences import Sequence

LABELLED = ("label", "labels", "value")  # the fields of predictions that /predict reports
_TEXT = {"type": "string"}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_SEQUENCES = {
    "anyOf": [
        {"type": "string", "description": "a text"},
        {"type": "array", "items": _TEXT, "maxItems": 2, "description": "a pair of texts"},
        {"type": "array", "items": {"type": "array", "items": _TEXT}, "description": "a batch"},
    ],
}
Truncate = Annotated[
    bool,
    BeforeValidator(lambda value: False if value is None else value),  # that server also accepts null
    Field(description="truncate texts that are too long for the model, instead of refusing them"),
]


class Predict(Body):
    """The body of /predict."""

    inputs: Annotated[Any, WithJsonSchema(_SEQUENCES)]
    truncate: Truncate = False
    raw_scores: bool = Field(False, description="outputs of the model instead of probabilities")
    parameters: dict[str, Any] | None = Field(
        None, description="sent by huggingface_hub.InferenceClient, which expects a nested list"
    )


class Rerank(Body):
    """The body of /rerank."""

    query: str
    texts: list[str]
    truncate: Truncate = False
    raw_scores: bool = False
    return_text: bool = False


class Embed(Body):
    """The body of /embed."""

    inputs: Annotated[Any, WithJsonSchema(_TEXTS)]
    truncate: Truncate = False
    normalize: bool = Field(True, description="scale vectors to length 1")
    dimensions: int | None = Field(
        None, ge=1, description="number of dimensions, one of those the model was trained for"
    )
    prompt_name: str | None = None
    truncation_direction: Literal["Left", "Right", "left", "right"] = "Right"


class _Pairs(Body):
    source_sentence: str
    sentences: list[str]


class _Similarity(Body):
    inputs: dict[str, Any] = Field(description="source_sentence, a text, and sentences, a list of texts")
    truncate: Truncate = False


def router(service: Service) -> APIRouter:
    """The endpoints for a service."""
    endpoints = Endpoints(service, "text-embeddings-inference")

    @endpoints.post(
        "/predict",
        Predict,
        "The labels of texts or pairs, or a predicted number",
        {"inputs": "a lovely phone"},
    )
    async def predict_texts(body: Predict, name: str | None) -> Any:
        return await predict(service, body, name)

    @endpoints.post(
        "/rerank",
        Rerank,
        "The relevance of texts to a query, most relevant first",
        {"query": "how do caves form?", "texts": ["bats live in caves", "water eats the rock away"]},
    )
    async def rerank_texts(body: Rerank, name: str | None) -> Any:
        return await rerank(service, body, name)

    @endpoints.post("/embed", Embed, "Embeddings of texts", {"inputs": ["a lovely phone", "it broke"]})
    async def embed_texts(body: Embed, name: str | None) -> Any:
        return await embed(service, body, name)

    @endpoints.post(
        "/similarity",
        _Similarity,
        "The cosine similarity of a text to each of several texts",
        {"inputs": {"source_sentence": "a lovely phone", "sentences": ["a great phone", "it broke"]}},
    )
    async def similarity(body: _Similarity, name: str | None) -> Any:
        return await cosines(service, body.inputs, body.truncate, name)

    @endpoints.get("/info", "The served model and the limits of the service")
    def info(name: str | None) -> Any:
        models = list(service.models.values()) if name is None else [service.find(name)]
        service.metrics.bookkeeping.settle()
        found = [_info(served) for served in models]
        return found[0] if len(found) == 1 else {"models": found}

    @endpoints.routes.get("/health", summary="200 if the service is running", tags=[endpoints.tag])
    def health() -> Response:
        return Response()

    return endpoints.routes


class WrongModel(Refusal):
    """The endpoint does not fit the model; text-embeddings-inference reports this with 424."""

    status = 424
    kind = "wrong_model"


def model_for(service: Service, name: str | None, *wants: SequenceOf[str]) -> ServedModel:
    """The model that answers, as in `suited`, but WrongModel is raised instead of Unsuited."""
    try:
        return suited(service, name, *wants)
    except Unsuited as error:
        raise WrongModel(str(error)) from error


def texts_of(inputs: Any) -> list[str]:
    """A text, or a list of at least one text, as a list. Raises Invalid."""
    texts = [inputs] if isinstance(inputs, str) else inputs
    if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
        return texts
    what = "is empty" if texts == [] else "is neither a text nor a list of texts"
    raise Invalid(f'"inputs" {what}')


async def predict(service: Service, body: Predict, name: str | None) -> Any:
    """The answer to /predict. Raises Refusal."""
    served = model_for(service, name, LABELLED, ("score",))
    items, is_single = items_of(body.inputs, served)
    found = await scores(served, items, body.truncate, body.raw_scores)
    return found[0] if is_single and body.parameters is None else found


async def scores(
    served: ServedModel, items: SequenceOf[Any], truncate: bool, raw: bool = False, all_labels: bool = False
) -> list[list[dict[str, Any]]]:
    """For each item the labels with their probabilities, highest first; or the predicted number.

    With `raw`, the outputs of the model before softmax or sigmoid; with `all_labels`, all labels even if
    task.top_k limits them. Raises Unsuited, and as `ServedModel.predict`.
    """
    can, labels = served.facts.can, served.model.labels
    decode: Decode | None = None
    if raw and "value" not in can:
        decode = partial(_raw_outputs, labels or ("score",))
    elif all_labels and "label_probabilities" in can:
        decode = partial(_all_probabilities, served.model.fitted)
    predictions = await served.predict(items, truncate=truncate, decode=decode)
    return [_by_score(_numbers(prediction)) for prediction in predictions]


async def rerank(service: Service, body: Rerank, name: str | None) -> list[dict[str, Any]]:
    """The answer to /rerank. Raises Refusal."""
    served = model_for(service, name, ("score",))
    if not body.texts:
        raise Invalid('"texts" is empty')
    pairs = [(body.query, text) for text in body.texts]
    found = await scores(served, pairs, body.truncate, body.raw_scores)
    ranks = [{"index": i, "score": rank["score"]} for i, (rank,) in enumerate(found)]
    if body.return_text:
        ranks = [{**rank, "text": text} for rank, text in zip(ranks, body.texts, strict=True)]
    return sorted(ranks, key=lambda rank: -rank["score"])


async def embed(service: Service, body: Embed, name: str | None) -> NDArray[np.float32]:
    """The vectors [N, H] of the texts of a request. Raises Refusal."""
    served = model_for(service, name, ("vectors",))
    if body.prompt_name is not None:
        raise Invalid('the model has no prompts. Remove "prompt_name", and write the prompt into the text')
    if body.truncation_direction.lower() == "left":
        raise Invalid('texts are truncated at their end. Remove "truncation_direction"')
    decode = vector_decoder(served, body.dimensions, body.normalize)
    return np.stack(await served.predict(texts_of(body.inputs), truncate=body.truncate, decode=decode))


async def cosines(
    service: Service, inputs: Mapping[str, Any], truncate: bool, name: str | None
) -> NDArray[np.float32]:
    """The cosine [N] of "source_sentence" with each of "sentences". Raises Refusal."""
    served = model_for(service, name, ("vectors",))
    pairs = checked(_Pairs, inputs)
    if not pairs.sentences:
        raise Invalid('"sentences" is empty')
    decode = vector_decoder(served, None, True)
    texts = [pairs.source_sentence, *pairs.sentences]
    vectors_NH = np.stack(await served.predict(texts, truncate=truncate, decode=decode))
    cosines_N: NDArray[np.float32] = vectors_NH[1:] @ vectors_NH[0]
    return cosines_N


def vector_decoder(served: ServedModel, size: int | None, normalize: bool) -> Decode:
    """A `decode` that returns the vector [H] of a text, truncated to `size` if given.

    Raises Invalid for a size the model was not trained for.
    """
    fitted, full = served.model.fitted, served.facts.vector_size
    if size is not None and size != full and size not in fitted.vector_sizes:
        sizes = sorted({*fitted.vector_sizes, *([] if full is None else [full])})
        raise Invalid(f"dimensions must be one of {listed(sizes)}, got {size}: the model has no other sizes")
    return partial(_vector, fitted, size, normalize)


def _vector(
    fitted: FittedTask,
    size: int | None,
    normalize: bool,
    outputs: list[Output],
    sequences: list[Sequence],
    example: Any,
) -> NDArray[np.float32]:
    vector_H: NDArray[np.float32] = fitted.decode_vector(outputs, sequences, example)
    if not normalize:
        return outputs[0][:size]
    if size is None or size == len(vector_H):
        return vector_H
    cut: NDArray[np.float32] = vector_H[:size]
    length = float(np.linalg.norm(cut))
    return cut / np.float32(length) if length else cut


def _raw_outputs(
    names: SequenceOf[str], outputs: list[Output], sequences: list[Sequence], example: Any
) -> dict[str, float]:
    """The output for each label; the mean over the windows of a long text."""
    return dict(zip(names, np.stack(outputs).mean(0).tolist(), strict=True))


def _all_probabilities(
    fitted: FittedTask, outputs: list[Output], sequences: list[Sequence], example: Any
) -> dict[str, float]:
    probabilities_C = fitted.decode_probabilities(outputs, sequences, example)
    return dict(zip(fitted.labels, probabilities_C.tolist(), strict=True))


def _numbers(prediction: Any) -> dict[str, float]:
    """The numbers of a prediction by label. Raises Unsuited if it has none."""
    if isinstance(prediction, dict):  # of `_raw_outputs` or `_all_probabilities`
        return prediction
    probabilities = getattr(prediction, "probabilities", None)
    if isinstance(probabilities, Mapping):
        return dict(probabilities)
    for name in ("value", "score"):
        if hasattr(prediction, name):
            return {name: getattr(prediction, name)}
    raise Unsuited("the predictions of this model have no probabilities. Use /models/NAME/rows")


def _by_score(numbers: Mapping[str, float]) -> list[dict[str, Any]]:
    ordered = sorted(numbers.items(), key=lambda item: -item[1])
    return [{"label": label, "score": score} for label, score in ordered]


def items_of(inputs: Any, served: ServedModel) -> tuple[list[Any], bool]:
    """The items of "inputs", and whether it is a single one. Raises Invalid."""
    if isinstance(inputs, str):
        return [inputs], True
    if isinstance(inputs, list) and inputs and all(isinstance(text, str) for text in inputs):
        if len(inputs) > 1 and len(served.facts.text_columns) == 1:
            raise Invalid(
                '"inputs" is a list of texts, which is a pair in this format, but this model takes '
                'single texts. Write a batch as [["a text"], ["another text"]]'
            )
        return [_item(inputs)], True
    if isinstance(inputs, list) and inputs and all(map(_is_sequence, inputs)):
        return [_item(texts) for texts in inputs], False
    what = "is empty" if inputs == [] else "has an unknown form"
    raise Invalid(
        f'"inputs" {what}. Expected a text, a pair ["a text", "another text"], or a batch such as '
        '[["a text"], ["another text"]]'
    )


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _item(texts: list[str]) -> Any:
    return texts[0] if len(texts) == 1 else tuple(texts)


def _info(served: ServedModel) -> dict[str, Any]:
    """The response of /info: the keys of text-embeddings-inference, and the facts about the model."""
    facts = served.facts
    labels = {
        "id2label": {str(number): label for number, label in enumerate(facts.labels)},
        "label2id": {label: number for number, label in enumerate(facts.labels)},
    }
    if "vectors" in facts.can:
        model_type: dict[str, Any] = {"embedding": {"pooling": facts.pooling}}
    elif "score" in served.facts.offered:
        model_type = {"reranker": labels}
    elif facts.can.intersection(LABELLED):
        model_type = {"classifier": labels}
    else:
        model_type = {facts.task: labels}
    return {
        "model_id": served.name,
        "model_sha": facts.weights_sha256,
        "model_dtype": _DTYPES.get(facts.precision, facts.precision),
        "model_type": model_type,
        "max_input_length": facts.max_length,
        "max_batch_tokens": served.batcher.max_batch_tokens,
        "max_client_batch_size": served.config.max_texts,
        "auto_truncate": False,
        "version": version("bertune"),
        "drift": served.drift.plain(),
        **facts.plain(),
    }


_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
# The error types of text-embeddings-inference, by status.
_TYPES = {413: "Validation", 422: "Validation", 424: "Backend", 429: "Overloaded", 503: "Unhealthy"}


def _error(refusal: Refusal) -> dict[str, Any]:
    default = "Validation" if refusal.status < 500 else "Backend"
    return {"error": str(refusal), "error_type": _TYPES.get(refusal.status, default), "kind": refusal.kind}


ERRORS: Mapping[str, ErrorBody] = dict.fromkeys(
    ("/predict", "/rerank", "/embed", "/similarity", "/info"), _error
)
