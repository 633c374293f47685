"""Exports a model to ONNX for the ONNX Runtime contestants, in fp32 and with dynamic int8 quantization.

This is a preparation that runs once and is not timed.
"""

import argparse
from pathlib import Path
from typing import Any

from bertune.bench.extra import need

FP32, INT8 = "model.onnx", "model-int8.onnx"
_NAMES = ("input_ids", "attention_mask", "token_type_ids")


def export(folder: Path, out: Path) -> None:
    """Writes the graph of a trained model to `out`, with dynamic batch size and length."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(str(folder), trust_remote_code=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    encoded = tokenizer(["a text", "a longer text, with a comma"], padding=True, return_tensors="pt")
    inputs = {name: encoded[name] for name in _NAMES if name in encoded}
    free = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        model,
        kwargs=inputs,
        f=str(out / FP32),
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_shapes={name: {0: free, 1: free} for name in inputs},
        dynamo=True,
        verbose=False,
    )


def quantize(out: Path) -> None:
    """Writes an int8 version of an exported graph to the same folder."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph: Any = onnx.load(str(out / FP32))
    # The shapes stored by the export contradict those that the quantizer infers.
    del graph.graph.value_info[:]
    bare = out / "without-shapes.onnx"
    onnx.save(graph, str(bare))
    quantize_dynamic(str(bare), str(out / INT8), weight_type=QuantType.QInt8)
    bare.unlink()


def main() -> None:
    """Exports and quantizes a model."""
    need("onnx", "onnxruntime", "onnxscript")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a trained model in the Hugging Face layout")
    parser.add_argument("out", type=Path, help="an existing folder for the graphs")
    options = parser.parse_args()
    export(options.folder, options.out)
    quantize(options.out)


if __name__ == "__main__":
    main()
