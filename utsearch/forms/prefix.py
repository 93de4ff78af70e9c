"""Prefix: learnt keys and values that every token attends to."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import PLAIN_ATTENTION, BackboneError, Operation, Stage, Tuner


class Prefix(Tuner):
    """Attn(Q, [Kp; K], [Vp; V]) = (1-λ)·Attn(Q, K, V) + λ·Attn(Q, Kp, Vp), λ the share of attention on the prefix.

    Kp and Vp are learnt directly, in the space of the heads' keys (after a key norm, if there is one) and values.
    Initial values: xavier uniform over (length, channels). It does not start as the identity.
    """

    name = "prefix"
    summary = "Attn(Q, [Kp; K], [Vp; V])"
    source = "Li & Liang 2021, arXiv 2101.00190; U-Tuning 2303.00690"
    sites = ("mha",)
    elsewhere = "it adds keys and values to an attention"
    rate = 8.0
    stage = Stage.WEIGHTS
    identity = False

    def __init__(self, op: Operation, rank: int) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.empty(rank, _channels(op)))
        self.values = nn.Parameter(torch.empty(rank, _channels(op)))
        nn.init.xavier_uniform_(self.keys)
        nn.init.xavier_uniform_(self.values)

    def forward(self, op: Any, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """The module's own forward with the prefix before the keys and values.

        Args:
            op: the attention module.
            x: (batch, tokens, channels).
            attn_mask: (…, tokens, tokens), as the module takes it; prefix columns are never masked.
            is_causal: refused.
        """
        if is_causal:
            raise BackboneError("prefix does not support causal attention: give the mask as attn_mask instead")
        heads = op.num_heads
        qkv = op.qkv(x).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # (3, batch, heads, tokens, head_dim)
        q, k, v = qkv.unbind(0)
        q, k = op.q_norm(q), op.k_norm(k)
        k = torch.cat([_heads(self.keys, heads, k), k], dim=2)  # (batch, heads, length + tokens, head_dim)
        v = torch.cat([_heads(self.values, heads, v), v], dim=2)
        y = _attend(op, q, k, v, _widen(attn_mask, len(self.keys)))
        y = op.norm(y.transpose(1, 2).flatten(2))  # (batch, tokens, heads · head_dim)
        if getattr(op, "gate", None) is not None:
            y = y * op.gate(x).sigmoid()
        return torch.as_tensor(op.proj_drop(op.proj(y)))

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """2·l·(heads · head_dim)."""
        return 2 * rank * _channels(op)

    @classmethod
    def refuses(cls, op: Operation, **options: Any) -> str | None:
        """It computes the attention anew, so it must know it."""
        return None if op.kind == PLAIN_ATTENTION else f"it knows only {PLAIN_ATTENTION}, here it is {op.kind}"


def _channels(op: Operation) -> int:
    return (op.heads or 0) * (op.head_dim or 0)


def _heads(rows: Tensor, heads: int, like: Tensor) -> Tensor:
    """(length, heads · head_dim) to (batch, heads, length, head_dim)."""
    split = rows.to(like.dtype).view(len(rows), heads, -1).transpose(0, 1)
    return split.expand(like.shape[0], -1, -1, -1)  # not len: it would fix the batch of an exported graph


def _widen(mask: Tensor | None, length: int) -> Tensor | None:
    """Open columns for the prefix: True in a boolean mask, 0 in an additive one."""
    return None if mask is None else F.pad(mask, (length, 0), value=mask.dtype == torch.bool)


def _attend(op: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax attention, fused or written out as the module itself would do; (batch, heads, tokens, head_dim)."""
    if op.fused_attn:
        p = op.attn_drop.p if op.training else 0.0
        return torch.as_tensor(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p))
    scores = (q * op.scale) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return torch.as_tensor(op.attn_drop(scores.softmax(dim=-1)) @ v)
