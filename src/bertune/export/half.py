"""Convert a graph to fp16, with inputs and outputs in fp32."""

from collections.abc import Collection
from pathlib import Path

from bertune.export import protos

# Operations whose results can overflow or lose much precision in fp16: sums of squares and exponentials.
IN_FP32 = ("LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Div")


def write_half(source: Path, target: Path, in_fp32: Collection[str] = ()) -> None:
    """Write an fp16 version of the graph `source`; the operations `in_fp32` compute in fp32."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    converted = convert_float_to_float16(
        protos.load(source),
        keep_io_types=True,
        disable_shape_infer=protos.is_large(source),
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *in_fp32],
    )
    protos.tidy(converted)
    protos.save(converted, target)
