"""An export in the formats of others: plain timm weights, an adapter of HF peft, ONNX, and torch.export.

Whatever is written is read back and must give the logits of the export, or nothing is said to be there.
"""

import contextlib
import copy
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from utsearch.backbones.folding import LINEAR
from utsearch.backbones.load import EMBEDDED
from utsearch.errors import UserError
from utsearch.export import ExportError, Loaded
from utsearch.files import write_atomic
from utsearch.forms import catalogue
from utsearch.tuning import Tuned, merge
from utsearch.tuning.resolve import full_options

TIMM, PEFT, ONNX, PT2 = "merged.safetensors", "peft", "model.onnx", "model.pt2"
CLOSE = 1e-4  # of the largest logit
IN_PEFT = ("lora", "dora", "vera", "ia3")


def write_timm(loaded: Loaded, folder: Path) -> str:
    """The tuner folded into the weights: a state dict of the plain timm model with its classifier.

    Raises:
        ExportError: a tuner of the design cannot be folded.
    """
    merged = merge(_tuned(loaded))
    if merged.stays:
        name, reason = next(iter(merged.stays.items()))
        raise ExportError(f"{loaded.card.design} does not merge into plain weights: {name} stays, {reason}")
    model = _with_classifier(merged.model, loaded)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    write_atomic(folder / TIMM, save(state))
    again = _with_classifier(_bare(loaded), loaded)
    again.load_state_dict(load_file(folder / TIMM))
    _check(loaded, again, TIMM)
    name, size, pool = loaded.card.backbone.name, loaded.card.backbone.img_size, loaded.card.backbone.pool
    source = f"utsearch.load_backbone({name!r}).model" if name == EMBEDDED else f"timm.create_model({name!r})"
    reset = f"model.reset_classifier({len(loaded.class_names)}{f', {pool!r}' if pool else ''})"
    return f"{TIMM}: model = {source} for {size} px, then {reset}, then load_state_dict"


def write_peft(loaded: Loaded, folder: Path) -> str:
    """A folder that `peft.PeftModel.from_pretrained` reads, the classifier in it.

    Raises:
        ExportError: peft has no such form, or not in these combinations.
    """
    peft = _library("peft")
    tuned = _tuned(loaded)
    config, names = _peft_config(peft, tuned), {}
    base = _with_classifier(_bare(loaded), loaded)
    config.modules_to_save = [_classifier_name(base)]
    with _silence():
        model = peft.get_peft_model(base, config)
        for name, op, _, tuner in tuned.named_tuners():
            layer: Any = base.get_submodule(op.path)
            for part, value in tuner.state_dict().items():
                names[f"{name}.{part}"] = _peft_tensor(layer, tuner.name, part)
                names[f"{name}.{part}"].data.copy_(value.view_as(names[f"{name}.{part}"]))
        model.save_pretrained(folder / PEFT, safe_serialization=True)
        again = peft.PeftModel.from_pretrained(_with_classifier(_bare(loaded), loaded, zero=True), folder / PEFT)
    _check(loaded, again.eval(), PEFT)
    where = "on the bare timm model with a classifier"
    return f"{PEFT}: peft.PeftModel.from_pretrained(model, {str(folder / PEFT)!r}) {where}"


def write_onnx(loaded: Loaded, folder: Path) -> str:
    """A graph for onnxruntime and its like, any number of images."""
    _library("onnx"), _library("onnxscript")
    images = _images(loaded)
    with _silence():
        torch.onnx.export(
            loaded.model, (images,), folder / ONNX, dynamo=True, external_data=False, dynamic_shapes=({0: _batch()},)
        )
    session = _library("onnxruntime").InferenceSession(folder / ONNX, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    _check(loaded, lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), ONNX)
    return (
        f"{ONNX}: input {name}, float32 (images, 3, {images.shape[-1]}, {images.shape[-1]}), normalised; output logits"
    )


def write_pt2(loaded: Loaded, folder: Path) -> str:
    """A graph for torch.export.load, any number of images."""
    with _silence():
        program = torch.export.export(loaded.model, (_images(loaded),), dynamic_shapes=({0: _batch()},))
        torch.export.save(program, folder / PT2)
        _check(loaded, torch.export.load(folder / PT2).module(), PT2)
    return f"{PT2}: torch.export.load({str(folder / PT2)!r}).module()"


FORMATS: dict[str, Callable[[Loaded, Path], str]] = {
    "timm": write_timm,
    "peft": write_peft,
    "onnx": write_onnx,
    "pt2": write_pt2,
}


def writer(name: str) -> Callable[[Loaded, Path], str]:
    """What writes a format into an export folder and returns a line that says how to load it.

    Raises:
        UserError: unknown format; lists those there are.
    """
    if name not in FORMATS:
        raise UserError(f"no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def _tuned(loaded: Loaded) -> Tuned:
    """An export is always attached, if only to the linear design."""
    model: Any = loaded.model
    tuned: Tuned = model.tuned
    return tuned


def _bare(loaded: Loaded) -> nn.Module:
    """A copy of the frozen network without tuners."""
    twin = copy.deepcopy(_tuned(loaded))
    twin.detach()
    return twin.backbone.model


def _with_classifier(model: Any, loaded: Loaded, *, zero: bool = False) -> nn.Module:
    """The head in timm's own place for it."""
    head: Any = loaded.model.head
    model.reset_classifier(len(loaded.class_names))
    classifier = model.get_classifier()
    if not isinstance(classifier, nn.Linear) or classifier.in_features != head.in_features:
        raise ExportError(f"{loaded.card.backbone.name} has no linear classifier of its own for the head")
    classifier.load_state_dict(head.state_dict())
    if zero:
        nn.init.zeros_(classifier.weight)
    return model.eval()


def _classifier_name(model: Any) -> str:
    classifier = model.get_classifier()
    return next(name for name, module in model.named_modules() if module is classifier)


def _peft_config(peft: Any, tuned: Tuned) -> Any:
    """One configuration for all tuners, which must be of one form, rank and options at whole Linears."""
    found = [(op, cell) for _, op, cell, _ in tuned.named_tuners()]
    kinds = {(cell.form, cell.rank, cell.options) for _, cell in found}
    if len(kinds) != 1:
        raise ExportError(f"peft takes one form, rank and options at a time; {tuned.design} has {len(kinds)}")
    cell = found[0][1]
    options = full_options(cell, catalogue())
    if cell.form not in IN_PEFT or options.get("insert", "parallel") != "parallel" or options["gate"] != "none":
        has = f"it has {', '.join(IN_PEFT)}, parallel and without gates"
        raise ExportError(f"peft has no {tuned.design}; {has}")
    if any(op.kind != LINEAR or op.span for op, _ in found):
        raise ExportError(f"in peft a tuner stands at a whole Linear; {tuned.design} has others")
    targets = [op.path for op, _ in found]
    if cell.form == "ia3":
        inner = [op.path for op, _ in found if op.site == "fc2"]
        return peft.IA3Config(target_modules=targets, feedforward_modules=inner)
    if cell.form == "vera":
        return peft.VeraConfig(r=cell.rank, target_modules=targets, d_initial=options["scale"])
    return peft.LoraConfig(
        r=cell.rank,
        lora_alpha=options["alpha"],
        target_modules=targets,
        use_rslora=bool(options.get("rank_stabilised", False)),
        use_dora=cell.form == "dora",
    )


def _peft_tensor(layer: Any, form: str, part: str) -> Tensor:
    """Where peft keeps a tensor of ours."""
    if form == "ia3":
        return layer.ia3_l["default"]
    if form == "vera":
        kept = {"shared.a": "vera_A", "shared.b": "vera_B", "inner": "vera_lambda_d", "outer": "vera_lambda_b"}
        return getattr(layer, kept[part])["default"]
    kept = {"down": "lora_A", "up": "lora_B", "magnitude": "lora_magnitude_vector"}
    return getattr(layer, kept[part])["default"].weight


def _batch() -> Any:
    return torch.export.Dim("batch", min=1, max=4096)


def _images(loaded: Loaded) -> Tensor:
    """Two random images, the same every time."""
    size = loaded.card.backbone.img_size
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def _check(loaded: Loaded, other: Callable[[Tensor], Tensor], name: str) -> None:
    """Refuse what does not give the logits of the export."""
    images = torch.cat([_images(loaded), _images(loaded).flip(0)])[:3]  # another number of images than it was made with
    expected = loaded.model(images)
    difference = float((other(images) - expected).abs().max() / expected.abs().max())
    if not difference < CLOSE:
        raise ExportError(f"{name} gives other logits than the export: {difference:.1e} of the largest one")


def _library(name: str) -> ModuleType:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"{name} is not installed; for other formats: pip install 'utsearch[formats]'") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Without the exporters' own notices."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
