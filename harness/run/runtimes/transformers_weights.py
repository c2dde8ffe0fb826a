"""What a PyTorch model's weights take and are computed in, quantised ones too."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


def computed_in(model: Any) -> tuple[str, str]:
    """The device and the dtype of most weights. A quantised one says what it is multiplied in."""
    found = Counter[tuple[str, str]]()
    for tensor in (*model.parameters(), *model.buffers()):
        whole = _whole(tensor)
        found[tensor.device.type, _name(whole.dtype)] += whole.shape.numel()
    (most, _) = found.most_common(1)[0]
    return most


def bytes_of(model: Any) -> dict[str, int]:
    """Bytes by device and dtype. The parts of a quantised weight say what they are."""
    found = Counter[str]()
    for tensor in (*model.parameters(), *model.buffers()):
        for part in _parts(tensor):
            found[f"{part.device.type} {_name(part.dtype)}"] += part.nbytes
    return dict(found)


def count(model: Any) -> int:
    """How many weights there are, however they are packed."""
    return sum(_whole(one).shape.numel() for one in model.parameters())


def _whole(tensor: torch.Tensor) -> Any:
    """What knows its shape and dtype: itself, or what bitsandbytes keeps beside packed bytes."""
    return getattr(tensor, "quant_state", None) or tensor


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors that hold one: itself, or the integers and scales of a quantised one."""
    if (state := _whole(tensor)) is not tensor:
        return [tensor, state.absmax, state.code]
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [part for name in names for part in _parts(getattr(tensor, name))]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
