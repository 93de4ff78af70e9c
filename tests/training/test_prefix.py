"""The prefix cache changes nothing but time."""

from dataclasses import replace

import pytest
import timm
import torch
from toy_problem import RECIPE, toy_problem

from utsearch.backbones import Backbone
from utsearch.design import Design
from utsearch.training import Problem
from utsearch.training.device import place
from utsearch.training.prefix import PrefixCache, Replay, first_tuned
from utsearch.tuning import attached, resolve

LARGE = 10**9
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def with_cache(problem: Problem, **change: object) -> Problem:
    return replace(problem, cache=LARGE, **change)


@pytest.fixture(scope="module")
def plain() -> Problem:
    return toy_problem()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("linear", 6),
        ("tail:ssf", 6),
        ("stem:ssf + ffn:adapter(2)@5", 0),
        ("ffn:adapter(2)@last/2 + mha:prefix(2)@4", 3),
        ("block:adapter(2)@5", 5),
    ],
)
def test_the_first_block_that_a_design_changes(plain: Problem, text: str, first: int) -> None:
    assert first_tuned(resolve(text, plain.backbone), plain.backbone) == first


@pytest.mark.parametrize(
    "text",
    [
        "linear",
        "tail:ssf",
        "ffn:adapter(2, insert=parallel, read=pre)@5",
        "mha:prefix(2)@2-3 + block:ssf@4",
        "mha:prompt(2)@last/2",
        "qkv|fc1:lora(2)@1-2",
        "ffn:adapter(2)@all",
    ],
)
@pytest.mark.parametrize("device", DEVICES)
def test_training_gives_the_same_bits_with_and_without(text: str, device: str) -> None:
    plain = toy_problem(device=device)
    design = Design.parse(text)
    runs = [problem.start(design, 3) for problem in (plain, with_cache(plain))]
    with_images, with_activations = ([(r.epoch, r.top1, r.loss, r.ece) for r in run.rungs()] for run in runs)
    assert with_images == with_activations
    states = [run.state() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert runs[0].cost == runs[1].cost  # also the FLOPs: they are of the design, not of the shortcut


def test_gradients_are_bit_equal(plain: Problem) -> None:
    cached = with_cache(plain)
    design, images = Design.parse("mha:prefix(2)@3-5"), torch.arange(16)
    assert cached.prefixes is not None
    prefix = cached.prefixes.at(3)
    assert prefix is not None
    found = []
    for use in (False, True):
        with attached(plain.backbone, design) as tuned, Replay(plain.backbone, 3 if use else 0).installed() as replay:
            pixels = plain.material.bank[0, images].float() / 255 * 2 - 1
            out = plain.backbone.model(replay.feed(prefix.bank[0, images]) if use else pixels)
            out.square().sum().backward()
            found.append([p.grad.clone() for p in tuned.parameters() if p.grad is not None])
    assert found[0]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_floor_and_first_head_are_the_same(plain: Problem) -> None:
    cached = with_cache(plain)
    assert cached.floor == plain.floor
    assert torch.equal(cached.first_head.weight, plain.first_head.weight)


def test_the_blocks_come_back(plain: Problem) -> None:
    backbone = plain.backbone
    image = torch.randn(2, 3, 64, 64)
    before = backbone.model(image)
    with Replay(backbone, 4).installed() as replay:
        stored = torch.randn(2, 65, 96)
        assert not torch.equal(backbone.model(replay.feed(stored)), before)
    assert torch.equal(backbone.model(image), before)
    assert all("forward" not in vars(module) for module in backbone.model.modules())


def test_a_budget_keeps_the_first_cuts_that_fit_and_says_so(plain: Problem) -> None:
    one = (2 * 64 + 40) * 65 * 96 * 4
    bank, val = plain.material.bank, plain.material.val.pixels
    cache = PrefixCache(plain.backbone, bank, val, (4, 2, 6), budget=2 * one)
    assert cache.cuts == (2, 4)
    assert cache.notice == f"prefix cache before block 2, 4: {2 * one / 1e6:.0f} MB, 1 more did not fit"
    assert cache.at(1) is None
    assert [cache.at(first).cut for first in (2, 3, 4, 5, 6)] == [2, 2, 4, 4, 4]  # type: ignore[union-attr]
    assert cache.nbytes == 2 * one


def test_half_precision_halves_the_memory_and_hardly_moves_the_result(plain: Problem) -> None:
    bank, val = plain.material.bank, plain.material.val.pixels
    exact = PrefixCache(plain.backbone, bank, val, (3,), budget=LARGE).at(3)
    half = PrefixCache(plain.backbone, bank, val, (3,), budget=LARGE, dtype=torch.bfloat16).at(3)
    assert exact is not None
    assert half is not None
    assert half.bank.nbytes * 2 == exact.bank.nbytes
    torch.testing.assert_close(half.val.float(), exact.val, rtol=1e-2, atol=1e-2)


def test_filling_tells_how_far_it_is(plain: Problem) -> None:
    told: list[float] = []
    list(with_cache(plain, on_fill=told.append).start(Design()).rungs())
    assert told == sorted(told)
    assert told[-1] == 1


def test_mixup_mixes_images_so_it_has_no_cache(plain: Problem) -> None:
    assert with_cache(plain, recipe=replace(RECIPE, mixup=0.2)).prefixes is None


def test_a_network_that_does_not_replay_exactly_gets_no_cache_and_a_notice() -> None:
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, depth=3)
    backbone = Backbone("odd", "random", model, 32)
    original = model.blocks[1].forward

    def with_memory(x: torch.Tensor) -> torch.Tensor:  # something flows past the blocks
        return original(x) + model.patch_embed.seen

    model.blocks[1].forward = with_memory
    model.patch_embed.register_forward_hook(lambda module, args, y: setattr(module, "seen", y.mean()))
    bank = torch.randint(0, 256, (1, 4, 3, 32, 32), dtype=torch.uint8)
    cache = PrefixCache(backbone, bank, bank[0], (1, 2), budget=LARGE)
    assert cache.cuts == ()
    assert cache.notice == "odd does not give the same when blocks are replayed: no prefix cache"


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_convnext"])
def test_convolutional_networks_with_their_channels_last_give_the_same_bits_too(plain: Problem, name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0)
    backbone = place(Backbone(name, "random", model, 64), torch.device("cpu"))
    problem = replace(plain, backbone=backbone)
    design = Design.parse(f"block:adapter(2)@{backbone.depth - 1}")
    cached = with_cache(problem)
    assert cached.prefixes is not None
    assert cached.prefixes.cuts, cached.prefixes.notice
    with_images, with_activations = ([(r.top1, r.loss) for r in p.start(design).rungs()] for p in (problem, cached))
    assert with_images == with_activations
