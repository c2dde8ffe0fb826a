"""Log-likelihoods with transformers: all options after a prefix in one pass, under a mask by which
none sees another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from harness.run.runtimes import Likelihoods
from harness.run.runtimes.logits import Places
from harness.run.runtimes.option_tree import Node, sees


def in_one_pass(model: Any, cache: Any, past: int, tree: Sequence[Node], options: int) -> Places:
    """What stands at each option's places; the cache then ends with the tokens of `tree`."""
    device = model.device
    rows = [row for row, node in enumerate(tree) if node.next]
    out = model(
        input_ids=torch.tensor([[node.token for node in tree]], device=device),
        position_ids=torch.tensor([[node.position for node in tree]], device=device),
        attention_mask=_mask(tree, past, model),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=torch.tensor(rows, device=device),
    )
    logits = out.logits[0].float().numpy(force=True)
    if len(logits) != len(rows):  # a model that cannot leave any out
        logits = logits[rows]
    places = Places(options)
    for row, one in zip(rows, logits, strict=True):
        places.read(one, tree[row].next)
    return places


def one_by_one(
    model: Any,
    new_cache: Callable[[], Any],
    prefix: list[int],
    options: Sequence[list[int]],
) -> Likelihoods:
    """Each option after the whole prefix, from an empty cache."""
    places, evaluated = Places(len(options)), 0
    for at, option in enumerate(options):
        ids = torch.tensor([[*prefix, *option[:-1]]], device=model.device)
        out = model(
            input_ids=ids, past_key_values=new_cache(), use_cache=True, logits_to_keep=len(option)
        )
        rows = out.logits[0, -len(option) :].float().numpy(force=True)
        for row, token in zip(rows, option, strict=True):
            places.read(row, [(at, token)])
        evaluated += ids.shape[1]
    return Likelihoods(places.logprobs, places.likeliest, evaluated, 0)


def _mask(tree: Sequence[Node], past: int, model: Any) -> torch.Tensor | None:
    """None where the tree is a line: the model's own mask is that, and quicker."""
    if all(node.option is None for node in tree):
        return None
    seen = torch.from_numpy(sees(tree))
    whole = torch.cat([torch.ones((len(tree), past), dtype=torch.bool), seen], dim=1)
    mask = torch.zeros(whole.shape, dtype=model.dtype)
    mask.masked_fill_(~whole, torch.finfo(model.dtype).min)
    return mask[None, None].to(model.device)
