"""Frozen networks by name: timm's, and the small one that ships."""

import difflib
import hashlib
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utsearch.backbones.operation import BackboneError, Layout, Operation
from utsearch.backbones.probe import probe
from utsearch.backbones.sites import SITES

EMBEDDED = "vit_mini"
HUB_SECONDS = 5  # for the hub to answer before a download


class Backbone:
    """A frozen network in eval mode without classifier, and the operations where tuners may stand.

    Attributes:
        name: as given to `load_backbone`.
        weights: which weights: timm's pretrained tag, a file's name, `vit_mini 1` or `random`.
        model: the timm module; gives pooled features (batch, width).
        img_size: side of the input in pixels.
        pool: how the features are pooled, where that is not the network's own way.
        mean, std: of the normalisation, per channel.
        operations: by (site, block); block is None for stem and tail.
        depth: number of blocks.
        width: number of features that the model gives.
    """

    def __init__(
        self,
        name: str,
        weights: str,
        model: nn.Module,
        img_size: int,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.5, 0.5, 0.5),
        pool: str | None = None,
    ) -> None:
        self.pool = pool
        self.name, self.weights, self.img_size = name, weights, img_size
        self.mean, self.std = tuple(mean), tuple(std)
        self.model = model.requires_grad_(False).eval()
        self.operations: Mapping[tuple[str, int | None], Operation]
        self.operations, self.width = probe(self.model, img_size)
        self.depth = sum(site == "block" for site, _ in self.operations)
        self._frozen = tuple(sorted(self.model.state_dict()))

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites this network has in some block, or around the blocks."""
        present = {site for site, _ in self.operations}
        return tuple(site for site in SITES if site in present)

    @property
    def convolutional(self) -> bool:
        """Whether its blocks read maps with the channels first, (batch, channels, height, width)."""
        return self.operations["block", 0].layout is Layout.NCHW

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex digits) over names, types, shapes and bytes of the frozen tensors, as on the CPU."""
        digest, state = hashlib.sha256(), self.model.state_dict()
        for name in self._frozen:
            value = state[name].detach().cpu().contiguous()
            digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def to(self, *args: Any, **kwargs: Any) -> "Backbone":
        """Move the network as `nn.Module.to` does; returns itself."""
        self.model.to(*args, **kwargs)
        return self

    def __repr__(self) -> str:
        """Name, weights and size."""
        return f"Backbone({self.name!r}, weights={self.weights!r}, depth={self.depth}, width={self.width})"


def load_backbone(
    name: str = EMBEDDED,
    *,
    pretrained: bool = True,
    img_size: int | None = None,
    checkpoint: str | Path | None = None,
    pool: str | None = None,
) -> Backbone:
    """Load a frozen backbone.

    Args:
        name: `vit_mini`, or any timm model with blocks, as in `vit_base_patch16_224.augreg_in21k` or `convnext_tiny`.
        pretrained: load its weights; False leaves random ones.
        img_size: side of the input in pixels where it shall differ from the model's own.
        checkpoint: a local file of weights instead of those that timm would download.
        pool: timm's global_pool where it shall differ from the network's own: `token` (CLS) or `avg` (the patches
            alone; class token and registers are left out) of a ViT, `avg` or `max` of a convolutional network.

    Raises:
        BackboneError: unknown name, no weights, no such pooling, or a network without blocks that can be tuned.
    """
    if name == EMBEDDED:
        return _load_embedded(pretrained, img_size, checkpoint, pool)
    import timm

    data: Any = timm.data  # untyped
    model = _create(name, pretrained, img_size, checkpoint)
    _check_size(model, name, img_size)
    _set_pool(model, name, pool)
    config = data.resolve_model_data_config(model)
    built_for = getattr(getattr(model, "patch_embed", None), "img_size", None)  # None: any size, as convolutions take
    size = built_for or ((img_size, img_size) if img_size else config["input_size"][1:])
    if size[0] != size[1]:
        raise BackboneError(f"{name} reads {size[0]}×{size[1]} px images; utsearch needs square ones: give an img_size")
    tag = str(model.pretrained_cfg.get("tag", "")) or "default"
    weights = Path(checkpoint).name if checkpoint else (tag if pretrained else "random")
    return Backbone(name, weights, model, int(size[0]), config["mean"], config["std"], pool)


def _check_size(model: Any, name: str, img_size: int | None) -> None:
    """No image smaller than a patch: there would be no token."""
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    side = max(patch) if isinstance(patch, tuple) else patch or 1
    if img_size is not None and img_size < side:
        raise BackboneError(
            f"{name} cuts images into patches of {side} px; img_size must be at least that, not {img_size}"
        )


def _set_pool(model: Any, name: str, pool: str | None) -> None:
    """Another pooling, with the trained norm in its place before it."""
    if pool is None:
        return
    own = getattr(model, "global_pool", None)
    try:
        model.reset_classifier(0, pool)
    except (AssertionError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        there = "there are token, avg, avgmax and max"
        raise BackboneError(f"{name} cannot pool by {pool!r}; its own is {own}, {there}") from error


def _load_embedded(pretrained: bool, img_size: int | None, checkpoint: str | Path | None, pool: str | None) -> Backbone:
    from safetensors import SafetensorError

    from utsearch.backbones.vit_mini import MEAN, STD, vit_mini

    if checkpoint is not None:
        raise BackboneError(f"{EMBEDDED} ships with its weights and takes no checkpoint, got {checkpoint}")
    try:
        model = vit_mini(pretrained=pretrained)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise BackboneError(f"the weights of {EMBEDDED} are missing or damaged: {error}; reinstall utsearch") from error
    if img_size is not None:
        _check_size(model, EMBEDDED, img_size)
        model.set_input_size((img_size, img_size))
    _set_pool(model, EMBEDDED, pool)
    weights = f"{EMBEDDED} 1" if pretrained else "random"
    return Backbone(EMBEDDED, weights, model, model.patch_embed.img_size[0], MEAN, STD, pool)


def _create(name: str, pretrained: bool, img_size: int | None, checkpoint: str | Path | None) -> Any:
    """`timm.create_model` without classifier; every way it can fail is a BackboneError."""
    import timm

    architecture = name.split("/")[-1].split(".")[0]
    if ":" not in name and not timm.is_model(architecture):
        raise BackboneError(f"timm has no model {name!r}{_near(architecture)}")
    options: dict[str, Any] = {} if img_size is None else {"img_size": img_size}
    if checkpoint is not None:
        if not Path(checkpoint).is_file():
            raise BackboneError(f"no checkpoint file {checkpoint}")
        options["pretrained_cfg_overlay"] = {"file": str(checkpoint)}
    elif pretrained:
        _check_download(name)
    create = partial(timm.create_model, name, pretrained=pretrained or checkpoint is not None, num_classes=0)
    try:
        try:
            return create(**options)
        except TypeError:
            if not options.pop("img_size", None):
                raise
            return create(**options)  # a network that takes images of any size has no such argument
    except Exception as error:  # timm, its hub client and the network raise whatever they like
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "; give a local file by checkpoint, or pretrained=False" if pretrained and checkpoint is None else ""
        raise BackboneError(f"cannot create {name}: {reason}{hint}") from error


def _check_download(name: str) -> None:
    """Fail in seconds without a network, where the hub's client would try again for a minute.

    Raises:
        BackboneError: the weights are not in the hub's cache, and the hub does not answer.
    """
    import timm
    from huggingface_hub import constants, get_session, try_to_load_from_cache

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if ":" in name or config is None or not config.has_weights or not config.hf_hub_id or config.file:
        return
    repository = f"timm/{config.architecture}.{config.tag}" if config.hf_hub_id == "timm/" else config.hf_hub_id
    files = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", config.hf_hub_filename)
    if any(isinstance(try_to_load_from_cache(repository, file), str) for file in files if file):
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception as error:  # whatever its client and the network raise
        raise BackboneError(
            f"cannot download {name}: {constants.ENDPOINT} does not answer ({' '.join(str(error).split())}) and its "
            "weights are not in the cache; give a local file by checkpoint"
        ) from error


def _near(architecture: str) -> str:
    """`; did you mean …?` with names that look alike."""
    import timm

    names = difflib.get_close_matches(architecture, [EMBEDDED, *timm.list_models()], n=3, cutoff=0.6)
    return f"; did you mean {', '.join(names)}?" if names else "; timm.list_models() lists what exists"
