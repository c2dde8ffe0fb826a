"""Quantises an ONNX graph with ONNX Runtime's own quantisers; run by exporters.

What is quantised are products with a constant matrix, where nearly all weights and nearly all time
are, and the table of embeddings. Norms, biases and the patch convolution stay as they are: they are
few, and ONNX Runtime has no kernel on CPUs for a convolution with signed 8-bit weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def _int8(graph: Path, target: Path) -> None:
    """Weights of 8 bits with a scale per column; activations are turned into 8 bits as it runs.

    Of the 8 bits 7 are used: without VNNI two products of 8 bits overflow where they are summed,
    and the answer would depend on the processor.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        graph,
        target,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )


def _int4(graph: Path, target: Path) -> None:
    """Weights of 4 bits with a scale per 32 of a column; activations stay as they are."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantiser = MatMulNBitsQuantizer(onnx.load(graph), block_size=32, is_symmetric=True)
    quantiser.process()
    quantiser.model.save_model_to_file(str(target))


PRECISIONS: dict[str, Callable[[Path, Path], None]] = {"int8": _int8, "int4": _int4}
