"""The prefix cache changes nothing but time."""

from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from toy_problem import RECIPE, toy_problem

from utsearch.backbones import Backbone
from utsearch.data import normalise
from utsearch.data.cache import Cache
from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.training import Problem
from utsearch.training.device import place
from utsearch.training.prefix import PrefixCache, Storing, check_type, disk_cache, first_tuned
from utsearch.training.replay import Replay
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
        "trunk:bypass(4)",
        "trunk:ladder(8)",
        "trunk:bypass(2, gate=scalar)",
    ],
)
@pytest.mark.parametrize("device", DEVICES)
def test_training_gives_the_same_bits_with_and_without(text: str, device: str) -> None:
    plain = toy_problem(replace(RECIPE, epochs=2, rungs=(1, 2)), device=device)
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
        with (
            attached(plain.backbone, design) as tuned,
            Replay(plain.backbone, (3,) if use else ()).installed() as replay,
        ):
            pixels = plain.material.bank[0, images].float() / 255 * 2 - 1
            out = plain.backbone.model(replay.feed(prefix.batch(0, images)) if use else pixels)
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
    with Replay(backbone, (4,)).installed() as replay:
        stored = torch.randn(2, 65, 96)
        assert not torch.equal(backbone.model(replay.feed({4: stored})), before)
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
    half = PrefixCache(plain.backbone, bank, val, (3,), budget=LARGE, storing=Storing("bfloat16")).at(3)
    assert exact is not None
    assert half is not None
    assert half.at[3].nbytes * 2 == exact.at[3].nbytes
    torch.testing.assert_close(half.at[3].val.float(), exact.at[3].val, rtol=1e-2, atol=1e-2)


def test_filling_tells_how_far_it_is(plain: Problem) -> None:
    told: list[float] = []
    list(with_cache(plain, storing=Storing(on_fill=told.append)).start(Design()).rungs())
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


SWIN = {"img_size": 64, "patch_size": 4, "window_size": 4, "embed_dim": 16, "depths": (1, 2), "num_heads": (2, 4)}


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "test_convnext"])
def test_a_hierarchical_network_gives_bit_equal_gradients(plain: Problem, name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, **(SWIN if "swin" in name else {}))
    backbone = place(Backbone(name, "random", model, 64), torch.device("cpu"))
    bank, val = plain.material.bank, plain.material.val.pixels
    last = backbone.depth - 1
    cache = PrefixCache(backbone, bank, val, (last,), budget=LARGE)
    prefix, chosen, found = cache.at(last), torch.tensor([3, 1, 8]), []
    assert prefix is not None, cache.notice
    with attached(backbone, f"block:adapter(2)@{last}", seed=1) as tuned:
        for use in (False, True):
            with Replay(backbone, (last,) if use else (), prefix.empties).installed() as replay:
                pixels = normalise(bank[0, chosen], backbone.mean, backbone.std)
                out = backbone.model(replay.feed(prefix.batch(0, chosen)) if use else pixels)
                found.append([out.detach(), *torch.autograd.grad(out.square().sum(), [*tuned.parameters()])])
    assert any(gradient.abs().max() > 0 for gradient in found[0][1:])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_one_empty_image_is_enough_for_the_stem(plain: Problem) -> None:
    cached = with_cache(plain)
    assert cached.prefixes is not None
    prefix = cached.prefixes.at(6)
    assert prefix is not None
    with Replay(plain.backbone, (6,), prefix.empties).installed() as replay:
        assert len(replay.feed(prefix.batch(0, torch.arange(5)))) == 1


def test_a_network_that_counts_its_images_gets_as_many_empty_ones(plain: Problem) -> None:
    backbone = replace(toy_problem()).backbone
    original = backbone.model.forward
    backbone.model.forward = lambda x: original(x).view(len(x), -1)
    cache = PrefixCache(backbone, plain.material.bank, plain.material.val.pixels, (4,), budget=LARGE)
    prefix = cache.at(4)
    assert prefix is not None
    with Replay(backbone, (4,), prefix.empties).installed() as replay:
        assert backbone.model(replay.feed(prefix.batch(0, torch.arange(5)))).shape == (5, 96)


def shared(plain: Problem, folder: Path, told: list[float], **change: object) -> PrefixCache:
    """A cache that looks on disk, as another process would open it."""
    bank, val = plain.material.bank, plain.material.val.pixels
    storing = Storing(disk=Cache(folder, LARGE), on_fill=told.append)
    arguments = {"bank": bank, "val": val, "cuts": (4, 2), "storing": storing, **change}
    return PrefixCache(plain.backbone, budget=LARGE, **arguments)  # type: ignore[arg-type]


def test_a_second_process_reads_what_the_first_wrote(plain: Problem, tmp_path: Path) -> None:
    told: list[list[float]] = [[], []]
    first, second = (shared(plain, tmp_path, said).at(4) for said in told)
    assert first is not None
    assert second is not None
    assert told[0][-1] == 1
    assert told[1] == []
    assert torch.equal(first.at[4].bank, second.at[4].bank)
    memory = PrefixCache(plain.backbone, plain.material.bank, plain.material.val.pixels, (4,), budget=LARGE).at(4)
    assert memory is not None
    assert torch.equal(first.at[4].bank, memory.at[4].bank)


def test_only_what_is_missing_or_damaged_is_computed_again(plain: Problem, tmp_path: Path) -> None:
    before = shared(plain, tmp_path, []).at(4)
    assert before is not None
    values = before.at[4].val.clone()
    names = sorted(path.name for path in tmp_path.glob("*.f32"))
    damaged = tmp_path / names[0]
    content = bytearray(damaged.read_bytes())
    damaged.write_bytes(content[:-4])
    told: list[float] = []
    after = shared(plain, tmp_path, told).at(4)
    assert after is not None
    assert told[-1] == 1
    assert torch.equal(after.at[4].val, values)
    assert sorted(path.name for path in tmp_path.glob("*.f32")) == names
    shared(plain, tmp_path, told := [], cuts=(4, 3, 2)).at(4)
    assert told
    assert len(list(tmp_path.glob("*.f32"))) == 3


def test_other_pixels_and_other_weights_have_other_entries(plain: Problem, tmp_path: Path) -> None:
    shared(plain, tmp_path, []).at(4)
    other = plain.material.bank.clone()
    other[0, 0, 0, 0, 0] ^= 1
    shared(plain, tmp_path, told := [], bank=other).at(4)
    assert told
    with torch.no_grad():
        backbone = toy_problem().backbone
        backbone.model.get_parameter("blocks.0.norm1.weight").mul_(2)
    shared(replace(plain, backbone=type(backbone)("vit_mini", "1", backbone.model, 64)), tmp_path, told := []).at(4)
    assert told
    shared(plain, tmp_path, told := [], storing=Storing("bfloat16", Cache(tmp_path, LARGE), told.append)).at(4)
    assert told


def test_a_disk_that_cannot_be_written_is_said_and_nothing_else_changes(
    plain: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UTSEARCH_CACHE", str(tmp_path / "file"))
    said: list[str] = []
    prefix = shared(plain, tmp_path, [], storing=Storing(disk=disk_cache(said.append))).at(4)
    assert prefix is not None
    assert len(said) == 1
    assert "file" in said[0]


def test_a_budget_too_small_for_all_blocks_leaves_designs_beside_the_trunk_without(plain: Problem) -> None:
    bank, val = plain.material.bank, plain.material.val.pixels
    cache = PrefixCache(plain.backbone, bank, val, (6,), budget=6 * (2 * 64 + 40) * 65 * 96 * 4)
    assert cache.of(resolve("trunk:bypass(2)", plain.backbone)) is None
    both = resolve("trunk:bypass(2) + tail:ssf", plain.backbone)
    assert with_cache(plain).prefixes.of(both) is None  # type: ignore[union-attr]  # it changes what the trunk gives


def test_a_type_that_is_not_stored_is_refused() -> None:
    with pytest.raises(UserError, match="no cache type 'int4'; there are exact and bfloat16"):
        check_type("int4")
