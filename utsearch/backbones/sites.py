"""The sites: kinds of place in a network where tuners may stand, and the names under which networks keep them.

| site | what stands there |
|---|---|
| mha | attention |
| mixer | what mixes positions without attention: a token mixer, or the last convolution of a block wider than 1×1 |
| ffn | the MLP of a block |
| block | a whole block |
| qkv, q, k, v, proj | the Linears of the attention; q, k and v also as thirds of a fused qkv |
| fc1, fc2 | the Linears or 1×1 convolutions of the MLP, or those around the mixer of a convolutional block |
| conv | the first convolution of a block wider than 1×1, where there are several |
| norm1, norm2, norm3 | the norms of a block |
| trunk | all blocks in a row, where the network calls them as one nn.Sequential over tokens |
| stem, tail | around the blocks: the patch embedding or first convolution, the last norm |

Names only propose: see `utsearch.backbones.probe`.
"""

from utsearch.backbones.operation import PLAIN_ATTENTION
from utsearch.design import OUTSIDE

IN_BLOCK = {
    "mha": ("attn", "token_mixer", "xca"),
    "mixer": ("token_mixer", "mixer", "modulation", "conv_dw", "dwconv", "rnn_tokens"),
    "ffn": ("mlp", "ffn", "mlp_channels"),
    "block": ("",),
    "qkv": ("attn.qkv", "token_mixer.qkv"),
    "q": ("attn.q_proj",),
    "k": ("attn.k_proj",),
    "v": ("attn.v_proj",),
    "proj": ("attn.proj", "token_mixer.proj"),
    "fc1": ("mlp.fc1", "ffn.fc1", "mlp_channels.fc1", "fc1"),
    "fc2": ("mlp.fc2", "ffn.fc2", "mlp_channels.fc2", "fc2"),
    "conv": (),
    "norm1": ("norm1", "norm", "bn1", "conv1.bn", "pre_norm"),
    "norm2": ("norm2", "bn2", "conv2.bn"),
    "norm3": ("norm3", "bn3", "conv3.bn"),
}
AROUND = {
    "stem": ("patch_embed", "stem", "conv_stem", "conv1"),
    "tail": ("norm", "fc_norm", "head.norm", "head_norm", "bn2"),
}
LINEARS = ("qkv", "proj", "fc1", "fc2")
NORM_SITES = ("norm1", "norm2", "norm3")
TRUNK = "trunk"
SITES = (*IN_BLOCK, *OUTSIDE)
QKV = ("q", "k", "v")
LINEAR_SITES = (*LINEARS, *QKV)
# Attention whose fused projection gives all of q, then all of k, then all of v.
FUSED = (PLAIN_ATTENTION, "timm.models.swin_transformer.WindowAttention")
GROUPS = {"linears": LINEARS, "norms": NORM_SITES}
SIDEWAYS = ("downsample", "shortcut")  # children of a block beside its own path
