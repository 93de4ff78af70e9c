"""FacT in the form of its paper: every d×d matrix of the network as a slice of one factorised tensor."""

import pytest
import torch
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.tuning import attached, count, merge, resolve

D, PIECES = 24, {"qkv": (3, 1), "proj": (1, 1), "fc1": (4, 1), "fc2": (1, 4)}


@pytest.mark.parametrize("kind", ["tt", "tk"])
def test_every_piece_of_every_matrix(backbone: Backbone, images: Tensor, kind: str) -> None:
    with attached(backbone, f"linears:fact(3, kind={kind}, scale=0.5)") as tuned:
        state = tuned.state_dict()
        for value in state.values():
            value.copy_(torch.randn_like(value))
        shared = {name.rpartition("shared.")[2]: value for name, value in state.items() if "shared." in name}
        u, v = shared["u"], shared["v"]
        merged = merge(tuned)
        assert merged.stays == {}
        for block in range(3):
            for site, (down, across) in PIECES.items():
                path = backbone.operations[site, block].path
                mixture = state[f"{path}.fact.mixture"]
                before = backbone.model.get_submodule(path).weight
                change = merged.model.get_submodule(path).weight - before
                for n in range(down * across):
                    o, i = divmod(n, across)
                    core = (
                        mixture[n]
                        if kind == "tt"
                        else sum(w * shared["core"][..., k] for k, w in enumerate(mixture[n]))
                    )
                    piece = change[o * D : (o + 1) * D, i * D : (i + 1) * D]
                    torch.testing.assert_close(piece, 0.5 * v @ core.T @ u, rtol=0, atol=1e-10)
        torch.testing.assert_close(merged.model(images), backbone.model(images), rtol=0, atol=1e-9)


def test_all_of_one_rank_share_however_they_are_written(backbone: Backbone) -> None:
    together = resolve("linears:fact(4)", backbone)
    apart = resolve("qkv:fact(4)@0 + proj|fc1|fc2:fact(4) + qkv:fact(4)@1-2", backbone)
    assert (apart.digest, apart.n_params) == (together.digest, together.n_params)
    two = count("qkv|proj:fact(4) + fc1|fc2:fact(3)", backbone)
    assert two == 2 * D * 4 + 3 * 4 * 16 + 2 * D * 3 + 3 * 8 * 9


def test_what_is_shared_is_saved_and_learnt_once(backbone: Backbone) -> None:
    with attached(backbone, "linears:fact(4, kind=tk)", seed=3) as tuned:
        shared = [name for name in tuned.state_dict() if "shared" in name]
        assert [name.rpartition(".")[2] for name in shared] == ["u", "v", "core"]
        assert len({id(p) for p in tuned.parameters()}) == len([*tuned.parameters()]) == 3 + 12
        first = {name: value.clone() for name, value in tuned.state_dict().items()}
    with attached(backbone, "linears:fact(4, kind=tk)", seed=3) as again:
        assert all(torch.equal(value, first[name]) for name, value in again.state_dict().items())
