"""Write the Python code that runs an exported graph with onnxruntime and tokenizers alone."""

from bertune.metadata import ModelMetadata
from bertune.tasks import FittedTask
from bertune.tasks.head_spec import HeadSpec

_ANSWERS, _CHOICES = "AutoModelForQuestionAnswering", "AutoModelForMultipleChoice"
_MASKS, _VECTORS = "AutoModelForMaskedLM", "AutoModel"
_HIDDEN, _POOLED = "last_hidden_state", "sentence_embedding"

# Up to the outputs of the graph, the code is the same for all models. ONNX Runtime takes nested lists.
_RUN = """\
import json, pathlib, numpy as np, onnxruntime, tokenizers
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation({max_length}{strategy})
tokenizer.enable_padding(pad_id={pad_id})
batch = tokenizer.encode_batch({texts})
inputs = {inputs}
{outputs} = onnxruntime.InferenceSession("{graph}").run({names}, inputs)
"""

# The graph divides by the temperatures that the model had when it was exported; `bertune decide` may change
# them.
_TEMPERATURE = """\
logits = logits / (json.loads(pathlib.Path("bertune.json").read_bytes())["remaining_temperatures"] or [1])
"""
_CALIBRATED = ("softmax", "sigmoid", "relevance", "tokens", "choices")  # kinds of outputs that are divided

_SOFTMAX = """\
scores = np.exp(logits - logits.max(-1, keepdims=True))
scores /= scores.sum(-1, keepdims=True)
"""
_SIGMOID = "scores = 1 / (1 + np.exp(-logits))\n"
_LABELS = 'json.loads(pathlib.Path("bertune.json").read_bytes())["labels"]'

# The rest, by the kind of the outputs. Every line that it prints is a Python value.
_REST = {
    "softmax": f'{_SOFTMAX}print({_LABELS}, scores.tolist(), sep="\\n")\n',
    "sigmoid": f'{_SIGMOID}print({_LABELS}, scores.tolist(), sep="\\n")\n',
    "relevance": f"{_SIGMOID}print(scores[:, 0].tolist())\n",
    "number": "print(logits[:, 0].tolist())\n",
    "raw": "print(logits.tolist())\n",
    "tokens": f"""\
{_SOFTMAX}for encoding, rows in zip(batch, scores):
    print(encoding.tokens, {_LABELS}, rows.tolist(), sep="\\n")
""",
    "vectors": """\
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
print((vectors @ vectors.T).tolist())  # cosines
""",
    "choices": """\
scores = np.exp(logits.ravel() - logits.max())
print((scores / scores.sum()).tolist())
""",
    "masks": """\
scores = np.exp(logits[0, batch[0].tokens.index(MASK)])
scores /= scores.sum()
print([(tokenizer.id_to_token(int(i)), float(scores[i])) for i in np.argsort(-scores)[:5]])
""",
    "answers": """\
context = np.array(batch[0].sequence_ids) == 1
spans = np.where(context, start[0], -np.inf)[:, None] + np.where(context, end[0], -np.inf)
spans[np.tri(len(context), k=-1) > 0] = -np.inf  # the answer cannot end before it starts
first, last = np.unravel_index(spans.argmax(), spans.shape)
print(repr(CONTEXT[batch[0].offsets[first][0] : batch[0].offsets[last][1]]))
print(float(start[0, 0] + end[0, 0] - spans.max()))  # above 0: the context has no answer
""",
}
_CONTEXT = "The library is open from nine to five."


def standalone_code(metadata: ModelMetadata, fitted: FittedTask, mask: str | None, has_types: bool) -> str:
    """A program that runs the graph of an export, in its folder, on example texts and prints the result.

    `mask` is the mask token of the tokenizer. `has_types`: whether token types are an input of the graph.
    """
    export = metadata.export
    assert export is not None and export.graph is not None
    kind = _kind(fitted.head)
    outputs, names = _outputs(kind, export.outputs)
    code = _RUN.format(
        max_length=metadata.max_length,
        strategy=', strategy="only_second"' if kind == "answers" else "",
        pad_id=export.pad_id,
        texts=_texts(metadata, fitted, kind, mask),
        inputs=_inputs(has_types, export.auto_class == _CHOICES),
        outputs=outputs,
        graph=export.graph,
        names=_quoted(names),
    )
    if kind == "answers" and len(names) == 1:
        code += "start, end = logits[..., 0], logits[..., 1]\n"
    if kind in _CALIBRATED and fitted.calibration_kind is not None:
        code += _TEMPERATURE
    return code + _REST[kind].replace("MASK", f'"{mask}"').replace("CONTEXT", f'"{_CONTEXT}"')


def _kind(head: HeadSpec) -> str:
    """The kind of the outputs of a head, as a key of _REST. For a custom head, `head` is what it replaces."""
    special = {_ANSWERS: "answers", _CHOICES: "choices", _MASKS: "masks", _VECTORS: "vectors"}
    if head.auto_class in special:
        return special[head.auto_class]
    if head.per_token:
        return "tokens"
    kinds = {
        "single_label_classification": "softmax",
        "multi_label_classification": "sigmoid",
        "regression": "number",
    }
    if head.problem_type in kinds:
        return kinds[head.problem_type]
    return "relevance" if head.activation == "Sigmoid" and head.num_outputs == 1 else "raw"


def _outputs(kind: str, outputs: tuple[str, ...]) -> tuple[str, list[str]]:
    """The variables for the outputs of the graph, and the names of the outputs."""
    names = [name for name in outputs if name != _HIDDEN]
    if kind == "vectors":
        return "vectors,", names
    return ("start, end", names) if len(names) == 2 else ("logits,", names)


def _texts(metadata: ModelMetadata, fitted: FittedTask, kind: str, mask: str | None) -> str:
    """The example texts in the form that the model takes."""
    if kind == "masks":
        return f'["This is a {mask}."]'
    if kind == "answers":
        return f'[("When is the library open?", "{_CONTEXT}")]'
    if kind == "choices":
        return '[("a context", "a question with one choice"), ("a context", "a question with another")]'
    if len(metadata.columns.text) > 1 and not fitted.task.predicts_single_texts:
        return '[("a text", "its second text"), ("another text", "its second text, which is longer")]'
    return '["a text", "another text, which is longer"]'


def _inputs(has_types: bool, is_choice: bool) -> str:
    """The inputs of the graph, [texts, length], or [1, choices, length], as an expression of three lines."""
    parts = {"input_ids": "ids", "attention_mask": "attention_mask"}
    if has_types:
        parts["token_type_ids"] = "type_ids"
    before, after = ("[[", "]]") if is_choice else ("[", "]")
    items = [f'"{name}": {before}e.{part} for e in batch{after}' for name, part in parts.items()]
    return "{" + ",\n          ".join(items) + "}"


def _quoted(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
