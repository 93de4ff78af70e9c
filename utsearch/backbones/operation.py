"""What a tuner may know of the frozen operation it stands at."""

from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from utsearch.errors import UserError

PLAIN_ATTENTION = "timm.layers.attention.Attention"  # softmax over all tokens, no notion of position


class BackboneError(UserError):
    """A backbone is unknown, has no weights, or lacks what was asked of it."""


class Layout(Enum):
    """Where the channels are; tuners see them last, (batch, …, channels), whatever the network does.

    Positions are not flattened: a tuner at a map sees (batch, height, width, channels), one at tokens (batch, tokens,
    channels), one after the pooling (batch, channels).
    """

    NLC = "nlc"  # (batch, tokens, channels), or (batch, channels)
    NHWC = "nhwc"  # (batch, height, width, channels), or windows and tokens for height and width
    NCHW = "nchw"  # (batch, channels, height, width)

    def channels_last(self, x: Tensor) -> Tensor:
        """From the network's layout to the tuners'."""
        return x.permute(0, 2, 3, 1) if self is Layout.NCHW else x

    def restore(self, y: Tensor) -> Tensor:
        """The inverse of `channels_last`."""
        return y.permute(0, 3, 1, 2) if self is Layout.NCHW else y


@dataclass(frozen=True)
class Operation:
    """One place of a frozen network where tuners may stand: x' = OP(x) + tuner(x).

    Attributes:
        site: its kind of place, one of `SITES`.
        block: position among the blocks in call order; None for stem, trunk and tail.
        path: name of the module in the network, as in `blocks.3.attn`.
        kind: qualified class of the module, as in `timm.layers.attention.Attention`.
        d_in: channels it reads.
        d_out: channels it writes.
        tokens: positions that it reads: rows of the sequence or height · width when it was probed; 0 for stem and tail.
        layout: where its channels are.
        stride: its output stands at every stride-th position of its input; 0 where it has no such grid.
        groups: of a convolution; more than one mix no channels of different groups.
        norm: path of the norm whose output it reads, None where it reads the trunk itself.
        heads: attention heads (mha only).
        head_dim: channels of one head (mha only).
        span: first and last + 1 of the module's output columns that it is, None where it is all of them.
        patch_values: numbers in one image patch, 3·P², the fan-in of the patch embedding.
        grid: rows and columns of the patches among its tokens, None where they do not lie on a grid.
        prefix_tokens: tokens before those patches, such as the class token.
        biased: whether its last step adds a bias.
        depth: number of its blocks (trunk only).
        mixer: qualified class of the attention in all its blocks (trunk only), empty where they differ.
    """

    site: str
    block: int | None
    path: str
    kind: str
    d_in: int
    d_out: int
    tokens: int = 0
    layout: Layout = Layout.NLC
    stride: int = 1
    groups: int = 1
    norm: str | None = None
    heads: int | None = None
    head_dim: int | None = None
    patch_values: int = 0
    span: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    prefix_tokens: int = 0
    biased: bool = False
    depth: int = 0
    mixer: str = ""

    def __str__(self) -> str:
        """`mha of block 3`, `stem`."""
        return self.site if self.block is None else f"{self.site} of block {self.block}"
