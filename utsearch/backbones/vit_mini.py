"""`vit_mini`: the small pretrained backbone that ships with utsearch."""

from pathlib import Path

from safetensors import safe_open
from timm.models import VisionTransformer

WEIGHTS = Path(__file__).parent / "weights" / "vit_mini.safetensors"
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)


def vit_mini(pretrained: bool = True) -> VisionTransformer:
    """A timm VisionTransformer for 64-pixel images: patch 8, width 96, 6 blocks, 3 heads, no classifier.

    It was pretrained by `tools/pretrain_vit_mini.py` on formula-driven images, and has never seen a photograph.
    """
    model = VisionTransformer(
        img_size=64, patch_size=8, embed_dim=96, depth=6, num_heads=3, num_classes=0, weight_init="jax"
    )
    if pretrained:
        with safe_open(WEIGHTS, framework="pt") as file:
            model.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118
    return model
