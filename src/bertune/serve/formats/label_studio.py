"""The ML-backend protocol of Label Studio, under /label-studio: a model pre-labels the tasks of a project.

Results have the form of Label Studio's annotations: choices, labels with character spans, and numbers. Label
Studio cannot ask for truncation, so /label-studio/truncate is a second backend, which truncates long texts.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from bertune.errors import did_you_mean, listed
from bertune.metrics.decisions import REVIEW
from bertune.serve.endpoints import Body, Endpoints, suited
from bertune.serve.refusals import Invalid
from bertune.serve.service import ServedModel, Service

_PREFIX = "/label-studio"
_CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="tone" toName="text">'
    '<Choice value="good"/><Choice value="bad"/></Choices></View>'
)
# The control tags that can show a prediction, by the field of the prediction; and the tags of their options.
_CONTROLS = {
    "spans": ("Labels",),
    "label": ("Choices",),
    "labels": ("Choices",),
    "value": ("Number", "Rating"),
}
_OPTIONS = {"Labels": "Label", "Choices": "Choice"}
_STARS = 5  # stars in a rating, unless maxRating is set


class _Setup(Body):
    schema_: str = Field(alias="schema", description="the labeling configuration")


class _Predict(Body):
    tasks: list[dict[str, Any]]
    label_config: str = Field(description="the labeling configuration")


@dataclass(frozen=True)
class _Control:
    """The control tag of a labeling configuration that shows the predictions, and the text it refers to."""

    tag: str
    name: str
    text: str  # name of the object tag with the text
    key: str  # of the text in the data of a task; "" if the tag does not refer to a text
    options: Mapping[str, None]  # labels in order, as they are written to annotations
    may_have_several: bool  # whether several choices can be selected
    most: int  # stars of a rating

    def region(self, value: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """An item of a result."""
        kind = self.tag.lower()
        return {"from_name": self.name, "to_name": self.text, "type": kind, "value": value, **more}


def router(service: Service) -> APIRouter:
    """The endpoints for a service."""
    endpoints = Endpoints(service, "Label Studio")
    for prefix, truncate in ((_PREFIX, False), (f"{_PREFIX}/truncate", True)):
        _add(endpoints, prefix, truncate)
    return endpoints.routes


def _add(endpoints: Endpoints, prefix: str, truncate: bool) -> None:
    service = endpoints.service

    @endpoints.get(f"{prefix}/health", "Whether the backend is up")
    def health(name: str | None) -> Any:
        return {"status": "UP", "model_class": "bertune"}

    @endpoints.post(
        f"{prefix}/setup",
        _Setup,
        "Check that the model fits the labeling configuration",
        {"project": "1", "schema": _CONFIG},
    )
    async def setup(body: _Setup, name: str | None) -> Any:
        served = suited(service, name, tuple(_CONTROLS))
        _control(body.schema_, served)
        return {"model_version": _version(served)}

    @endpoints.post(
        f"{prefix}/predict",
        _Predict,
        "Predictions for tasks",
        {"tasks": [{"id": 1, "data": {"text": "a lovely phone"}}], "label_config": _CONFIG},
    )
    async def predict(body: _Predict, name: str | None) -> Any:
        served = suited(service, name, tuple(_CONTROLS))
        control, version = _control(body.label_config, served), _version(served)
        items = [_item(task, control, served) for task in body.tasks]
        found = iter(await served.predict([i for i in items if i is not None], truncate=truncate))
        results = [{"result": []} if item is None else _result(control, next(found)) for item in items]
        return {
            "results": [{**result, "model_version": version} for result in results],
            "model_version": version,
        }


def _version(served: ServedModel) -> str:
    return f"{served.name}-{served.facts.weights_sha256[:8]}"


def _item(task: Mapping[str, Any], control: _Control, served: ServedModel) -> Any:
    """The input of the model from a task; None if its texts are blank. Raises Invalid."""
    data, columns = task.get("data"), served.facts.text_columns
    keys = columns if len(columns) > 1 else (control.key,)
    values = [data.get(key) for key in keys] if isinstance(data, Mapping) else [None]
    wrong = next((key for key, value in zip(keys, values, strict=False) if not isinstance(value, str)), None)
    if wrong is not None:
        raise Invalid(f'the data of task {task.get("id", "without id")} has no text under the key "{wrong}"')
    texts = [str(value) for value in values]
    if not all(text.strip() for text in texts):
        return None
    return tuple(texts) if len(texts) > 1 else texts[0]


def _result(control: _Control, prediction: Any) -> dict[str, Any]:
    """A prediction as Label Studio's "result" and "score"."""
    if hasattr(prediction, "spans"):
        return _of_spans(control, prediction.spans)
    if hasattr(prediction, "value"):
        value = float(prediction.value)
        if control.tag == "Rating":
            stars = min(max(round(value), 1), control.most)
            return {"result": [control.region({"rating": stars})]}
        return {"result": [control.region({"number": value})]}
    probabilities: Mapping[str, float] = prediction.probabilities
    if hasattr(prediction, "label"):
        score = probabilities[prediction.label]
        note = _note(prediction)
        return {
            "result": [control.region({"choices": [prediction.label]}, score=score, **note)],
            "score": score,
        }
    chosen = [label for label in prediction.labels if label in control.options]
    # The confidence in the label that is the least certain.
    score = min(max(p, 1 - p) for p in probabilities.values())
    result = [control.region({"choices": chosen}, score=score, **_note(prediction))] if chosen else []
    return {"result": result, "score": score}


def _note(found: Any) -> dict[str, Any]:
    """A note for annotators on a region that needs review; empty without such a
    decision."""
    value = found.get("decision") if isinstance(found, Mapping) else getattr(found, "decision", None)
    if value != REVIEW:
        return {}
    labels = [] if isinstance(found, Mapping) else getattr(found, "review_labels", None) or []
    return {"meta": {"text": [f"{REVIEW}: {', '.join(labels)}" if labels else REVIEW]}}


def _of_spans(control: _Control, spans: list[dict[str, Any]]) -> dict[str, Any]:
    kept = [span for span in spans if span["label"] in control.options]
    result = [
        control.region(
            {"start": span["start"], "end": span["end"], "text": span["text"], "labels": [span["label"]]},
            id=f"span-{number}",
            score=span["score"],
            **_note(span),
        )
        for number, span in enumerate(kept, start=1)
    ]
    if not kept:
        return {"result": result}
    return {"result": result, "score": sum(span["score"] for span in kept) / len(kept)}


def _control(config: str, served: ServedModel) -> _Control:
    """The control tag for the predictions of a model. Raises Invalid if none or several fit."""
    root = _parsed(config)
    tags = next(tags for name, tags in _CONTROLS.items() if name in served.facts.can)
    controls = [_read(element, root) for element in root.iter() if element.tag in tags]
    if not controls:
        raise Invalid(
            f"the labeling configuration has no {' or '.join(tags)} tag, which the predictions of "
            f'"{served.name}" need'
        )
    problems = [_problem(control, served) for control in controls]
    fitting = [control for control, problem in zip(controls, problems, strict=True) if problem is None]
    if len(fitting) > 1:
        names = listed([control.name for control in fitting])
        raise Invalid(f"several tags of the labeling configuration fit the model: {names}. Keep one of them")
    if not fitting:
        raise Invalid(str(problems[0]))
    return fitting[0]


def _problem(control: _Control, served: ServedModel) -> str | None:
    """Why a control tag does not fit a model, or None."""
    if not control.key:
        return (
            f'the tag "{control.name}" of the labeling configuration refers to "{control.text}", which is '
            'not a tag with a text such as value="$text"'
        )
    if control.tag not in _OPTIONS:
        return None
    labels = dict.fromkeys(served.model.fitted.span_labels or served.facts.labels)
    unknown = [option for option in control.options if option not in labels]
    if unknown:
        near = did_you_mean(unknown[0], labels)
        return (
            f'the labels {listed(unknown)} of the tag "{control.name}" are not labels of the model '
            f'"{served.name}".{near} Labels of the model: {listed(list(labels))}'
        )
    missing = [label for label in labels if label not in control.options]
    if missing and "label" in served.facts.can:
        return (
            f'the model "{served.name}" also predicts {listed(missing)}. Add these labels to the tag '
            f'"{control.name}"'
        )
    if "labels" in served.facts.can and not control.may_have_several:
        return f'the model can predict several labels. Add choice="multiple" to the tag "{control.name}"'
    return None if control.options else f'the tag "{control.name}" has no labels'


def _parsed(config: str) -> ElementTree.Element:
    """The root element of a labeling configuration. Raises Invalid."""
    if "<!DOCTYPE" in config or "<!ENTITY" in config:  # entities can expand to gigabytes
        raise Invalid("the labeling configuration must not have a document type")
    try:
        return ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise Invalid(f"the labeling configuration is not valid XML: {error}") from error


def _read(element: ElementTree.Element, root: ElementTree.Element) -> _Control:
    """A control tag with the text it refers to."""
    name, to_name = element.get("name", ""), element.get("toName", "")
    text = next((e for e in root.iter() if e.get("name") == to_name and e is not element), None)
    value = "" if text is None or text.get("valueType") == "url" else text.get("value", "")
    found = element.iter(_OPTIONS[element.tag]) if element.tag in _OPTIONS else ()
    most = element.get("maxRating", "")
    return _Control(
        tag=element.tag,
        name=name,
        text=to_name,
        key=value[1:] if value.startswith("$") else "",
        options=dict.fromkeys(option.get("alias") or option.get("value") or "" for option in found),
        may_have_several=element.get("choice") == "multiple",
        most=int(most) if most.isdecimal() else _STARS,
    )
