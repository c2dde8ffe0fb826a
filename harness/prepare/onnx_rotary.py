"""The angles of rotary embeddings as tables, which ONNX Runtime's attention wants ready."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.ask.geometry import Geometry

_FAST, _SLOW = 32.0, 1.0  # turns over the original context: YaRN's bounds, as all publish them


def tables(shape: Geometry) -> dict[str, Any]:
    """`cos` and `sin`, each of (context, half the values that are turned).

    `cos.local` and `sin.local` are those of local layers, where they turn by angles of their own.
    """
    local = shape.family.local_theta
    if not local:
        return _tables(shape)
    turned = _tables(shape.model_copy(update={"rope_theta": local}))
    return _tables(shape) | {f"{name}.local": table for name, table in turned.items()}


def _tables(shape: Geometry) -> dict[str, Any]:
    size = shape.rotary or shape.head_dim
    speeds = shape.rope_theta ** (-np.arange(0, size, 2) / size)
    factor = 1.0
    if shape.yarn_factor is not None and shape.yarn_original_context is not None:
        speeds = _yarn(speeds, size, shape)
        # Ministral 3 asks for two scalings that cancel out.
        factor = 1.0 if shape.architecture == "mistral3" else 0.1 * math.log(shape.yarn_factor) + 1
    angles = np.arange(shape.context, dtype=np.float32)[:, None] * speeds.astype(np.float32)[None]
    return {
        name: (turn(angles) * factor).astype("<f4")
        for name, turn in (("cos", np.cos), ("sin", np.sin))
    }


def _yarn(speeds: Any, size: int, shape: Geometry) -> Any:
    """Slow turns made longer by the factor, fast ones left, a ramp between."""
    context, factor = shape.yarn_original_context or 1, shape.yarn_factor or 1.0

    def place(turns: float) -> float:
        return size * math.log(context / (turns * math.tau)) / (2 * math.log(shape.rope_theta))

    low = max(math.floor(place(_FAST)), 0)
    high = min(math.ceil(place(_SLOW)), size - 1)
    ramp = np.clip((np.arange(size // 2) - low) / max(high - low, 0.001), 0, 1)
    return speeds / factor * ramp + speeds * (1 - ramp)
