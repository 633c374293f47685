"""The Vespa application in examples/vespa fits the exports, and computes what bertune predicts."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from lxml import etree
from tokenizers import Tokenizer
from vespa.configuration import services as tags
from vespa.package import (
    HNSW,
    ApplicationPackage,
    Document,
    Field,
    FieldSet,
    FirstPhaseRanking,
    Function,
    GlobalPhaseRanking,
    OnnxModel,
    RankProfile,
    Schema,
    ServicesConfiguration,
)

import bertune as bt
from tiny_exports import PAIRS, Exports

APP = Path(__file__).parents[2] / "examples" / "vespa"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LENGTH = 128


@pytest.fixture(scope="module")
def schema_text() -> str:
    return (APP / "schemas" / "doc.sd").read_text(encoding="utf-8")


def package() -> ApplicationPackage:
    """The application, described with pyvespa."""
    query = "query(query_tokens), attribute(title_tokens)"
    functions = dict(zip(INPUTS, ("tokenInputIds", "tokenAttentionMask", "tokenTypeIds"), strict=True))
    logit = "onnx(cross_encoder).logits"
    schema = Schema(
        name="doc",
        document=Document(
            fields=[
                Field("title", "string", indexing=["index", "summary"], index="enable-bm25"),
                Field(
                    "title_tokens",
                    "tensor<float>(d0[93])",
                    indexing=["input title", "embed tokenizer", "attribute"],
                    is_document_field=False,
                ),
                Field(
                    "embedding",
                    "tensor<float>(x[384])",
                    indexing=["input title", "embed bi_encoder", "attribute", "index"],
                    ann=HNSW(distance_metric="prenormalized-angular"),
                    is_document_field=False,
                ),
            ]
        ),
        fieldsets=[FieldSet("default", ["title"])],
        models=[
            OnnxModel("cross_encoder", "x.onnx", dict(zip(INPUTS, INPUTS, strict=True)), {"logits": "logits"})
        ],
        rank_profiles=[
            RankProfile("keywords", first_phase=FirstPhaseRanking("bm25(title)")),
            RankProfile(
                "cross_encoder",
                inherits="keywords",
                inputs=[("query(query_tokens)", "tensor<float>(d0[32])")],
                functions=[Function(name, f"{call}({LENGTH}, {query})") for name, call in functions.items()],
                global_phase=GlobalPhaseRanking(
                    f"sigmoid({logit}{{d0:0,d1:1}} - {logit}{{d0:0,d1:0}})", rerank_count=25
                ),
            ),
            RankProfile(
                "bi_encoder",
                inputs=[("query(query_embedding)", "tensor<float>(x[384])")],
                first_phase=FirstPhaseRanking("closeness(field, embedding)"),
            ),
        ],
    )
    services = tags.services(
        tags.container(id="default", version="1.0")(
            tags.component(id="tokenizer", type="hugging-face-tokenizer")(
                tags.model(path="models/tokenizer.json")
            ),
            tags.component(id="bi_encoder", type="hugging-face-embedder")(
                tags.transformer_model(path="models/bi_encoder.onnx"),
                tags.tokenizer_model(path="models/tokenizer.json"),
                tags.max_tokens(f"{LENGTH}"),
                tags.transformer_input_ids("input_ids"),
                tags.transformer_attention_mask("attention_mask"),
                tags.transformer_token_type_ids("token_type_ids"),
                tags.transformer_output("last_hidden_state"),
                tags.pooling_strategy("mean"),
                tags.normalize("true"),
            ),
            tags.document_api(),
            tags.search(),
        ),
        tags.content(id="cord19", version="1.0")(
            tags.min_redundancy("1"),
            tags.documents(tags.document(type="doc", mode="index")),
            tags.nodes(tags.node(distribution_key="0", hostalias="node1")),
        ),
        version="1.0",
    )
    config = ServicesConfiguration("cord19", schemas=[schema], services_config=services)
    return ApplicationPackage("cord19", schema=[schema], services_config=config)


def test_the_schema_is_the_one_that_pyvespa_generates(schema_text: str) -> None:
    generated = package().schema.schema_to_text.replace("files/cross_encoder", "models/cross_encoder")
    without_comments = re.sub(r"^\s*#.*$", "", schema_text, flags=re.MULTILINE)
    assert without_comments.split() == generated.split()


def test_the_services_are_those_that_pyvespa_generates() -> None:
    generated = etree.fromstring(package().services_to_text.encode())
    written = etree.fromstring((APP / "services.xml").read_bytes())
    assert canonical(written) == canonical(generated)


def canonical(root: Any) -> bytes:
    """XML without comments, indentation and order of attributes."""
    etree.strip_tags(root, etree.Comment)
    for element in root.iter():
        element.tail = None
        element.text = (element.text or "").strip() or None
    return bytes(etree.tostring(root, method="c14n"))


def copied() -> dict[str, str]:
    """The copy commands of the README: a file below an export, by the name of its copy in models/."""
    readme = (APP / "README.md").read_text(encoding="utf-8")
    pattern = r"^cp runs/[\w-]+/export/onnx-int8/(\S+) examples/vespa/models/(\S+)$"
    return {copy: source for source, copy in re.findall(pattern, readme, re.MULTILINE)}


def test_every_file_that_the_package_names_is_copied_from_an_export(
    schema_text: str, exports: Exports
) -> None:
    named = set(
        re.findall(r"models/([\w.]+)", schema_text + (APP / "services.xml").read_text(encoding="utf-8"))
    )
    assert named == set(copied())
    for kind in ("pairs", "embeddings"):
        for source in copied().values():
            assert (exports.export(kind, "onnx-int8") / source).is_file()


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_the_graphs_have_the_inputs_and_outputs_that_the_package_names(
    schema_text: str, exports: Exports, name: str
) -> None:
    block = re.search(r"onnx-model cross_encoder \{(.*?)\}", schema_text, re.DOTALL)
    assert block is not None
    inputs = dict(re.findall(r"input (\w+): (\w+)", block[1]))
    outputs = dict(re.findall(r"output (\w+): (\w+)", block[1]))
    given, found = signature(exports.export("pairs", name))
    assert given == dict.fromkeys(inputs, ("int64", ["batch_size", "sequence_length"]))
    assert found == dict.fromkeys(outputs, ("float32", ["batch_size", 2]))
    embedder = etree.parse(APP / "services.xml").find(".//component[@id='bi_encoder']")
    given, found = signature(exports.export("embeddings", name))
    kinds = ("input-ids", "attention-mask", "token-type-ids")
    assert list(given) == [embedder.findtext(f"transformer-{kind}") for kind in kinds]
    assert found[embedder.findtext("transformer-output")][1][:2] == ["batch_size", "sequence_length"]


def signature(export: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Type and dimensions of the inputs and of the outputs of a graph, by name."""
    graph = onnx.load(next((export / "onnx").glob("*.onnx"))).graph
    both = []
    for values in (graph.input, graph.output):
        described = {}
        for value in values:
            kind = value.type.tensor_type
            dims = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
            described[value.name] = (onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name, dims)
        both.append(described)
    return both[0], both[1]


def tokens_of(tokenizer: Tokenizer, text: str, kind: str) -> list[int]:
    """The tokens that Vespa stores in a tensor of a type such as tensor<float>(d0[93])."""
    size = re.search(r"d0\[(\d+)\]", kind)
    assert size is not None
    return list(tokenizer.encode(text, add_special_tokens=False).ids)[: int(size[1])]


def test_the_cross_encoder_profile_computes_the_probability(schema_text: str, exports: Exports) -> None:
    export = exports.export("pairs")
    tokenizer = Tokenizer.from_file(str(export / "tokenizer.json"))
    start, end = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    query_type = re.search(r"query\(query_tokens\) (tensor\S+)", schema_text)
    title_type = re.search(r"field title_tokens type (tensor\S+)", schema_text)
    lengths = {int(n) for n in re.findall(r"token\w+\((\d+), query", schema_text)}
    rule = re.search(r"(sigmoid\(.*\))", schema_text)
    assert query_type and title_type and rule and lengths == {LENGTH}
    session = onnxruntime.InferenceSession(export / "onnx" / "model.onnx")
    model = bt.load(export)
    for pair in PAIRS:
        query = tokens_of(tokenizer, pair["query"], query_type[1])
        title = tokens_of(tokenizer, pair["title"], title_type[1])
        # What tokenInputIds, tokenAttentionMask and tokenTypeIds compute in Vespa.
        size = min(LENGTH, model.max_length)  # this model is smaller
        ids = [start, *query, end, *title, end]
        types = [0] * (len(query) + 2) + [1] * (len(title) + 1)
        arrays = {
            name: np.array([[*values, *[0] * (size - len(values))]])
            for name, values in zip(INPUTS, (ids, [1] * len(ids), types), strict=True)
        }
        logits = session.run(["logits"], arrays)[0]
        score = evaluated(rule[1], logits)
        expected = model.predict_proba([(pair["query"], pair["title"])])[0][model.labels.index("1")]
        assert score == pytest.approx(expected, abs=1e-4)
        assert (score > 0.5) == (pair["label"] == "1")


def evaluated(rule: str, logits: Any) -> float:
    """The value of a ranking expression over the outputs of the cross-encoder."""
    read = re.sub(r"onnx\(cross_encoder\)\.logits\{d0:(\d),d1:(\d)\}", r"logits[\1, \2]", rule)
    return float(eval(read, {"logits": logits, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}))


def test_the_embedder_computes_the_vectors(exports: Exports) -> None:
    export = exports.export("embeddings")
    component = etree.parse(APP / "services.xml").find(".//component[@id='bi_encoder']")
    assert component.findtext("pooling-strategy") == "mean" and component.findtext("normalize") == "true"
    tokenizer = Tokenizer.from_file(str(export / "tokenizer.json"))
    session = onnxruntime.InferenceSession(export / "onnx" / "model.onnx")
    text = "where is my parcel"
    encoding = tokenizer.encode(text)
    parts = (encoding.ids, encoding.attention_mask, encoding.type_ids)
    arrays = {name: [values] for name, values in zip(INPUTS, parts, strict=True)}
    vector = session.run([component.findtext("transformer-output")], arrays)[0][0].mean(0)
    [expected] = bt.load(export).encode([text])
    np.testing.assert_allclose(
        vector / np.linalg.norm(vector), expected / np.linalg.norm(expected), atol=1e-5
    )


def test_the_titles_of_a_run_are_printed_as_documents(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text('q,t,label\na,"One, two",1\nb,Three,0\nc,"One, two",0\n')
    config = f'[data]\ntrain = "{tmp_path / "pairs.csv"}"\ntext = ["q", "t"]\n'
    (tmp_path / "config.toml").write_text(config)
    command = [sys.executable, APP / "feed.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [d["fields"]["title"] for d in documents] == ["One, two", "Three"]
    assert [d["put"] for d in documents] == ["id:cord19:doc::0", "id:cord19:doc::1"]
