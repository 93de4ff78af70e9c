"""Scale and shift against its formula."""

import torch
from torch import Tensor

from utsearch.backbones import QKV, Backbone
from utsearch.forms.ssf import SSF
from utsearch.tuning import attached


def test_its_formula_everywhere(backbone: Backbone, images: Tensor) -> None:
    inputs: dict[str, Tensor] = {}
    with attached(
        backbone, f"{'|'.join(site for site in backbone.sites if site in SSF.sites and site not in QKV)}:ssf"
    ) as tuned:
        paths = [op.path for op in backbone.operations.values() if op.site != "trunk"]
        ops = {path: backbone.model.get_submodule(path) for path in paths}
        hooks = [op.register_forward_pre_hook(lambda _, x, p=p: inputs.update({p: x[0]})) for p, op in ops.items()]
        backbone.model(images)
        for hook in hooks:
            hook.remove()
        state = tuned.state_dict()
        assert len(state) == 2 * len(ops) == 2 * (9 * 3 + 2)
        for path, op in ops.items():
            expected = state[f"{path}.ssf.scale"] * op.untuned(inputs[path]) + state[f"{path}.ssf.shift"]
            torch.testing.assert_close(op(inputs[path]), expected, rtol=0, atol=1e-10)


def test_it_folds_into_a_linear(backbone: Backbone, tokens: Tensor) -> None:
    with attached(backbone, "fc1:ssf@0") as tuned:
        scale, shift = tuned.state_dict().values()
        linear = backbone.model.blocks[0].mlp.fc1
        weight, bias = scale[:, None] * linear.weight, scale * linear.bias + shift
        torch.testing.assert_close(linear(tokens), tokens @ weight.T + bias, rtol=0, atol=1e-10)


def test_initial_values(backbone: Backbone) -> None:
    with attached(backbone, "linears:ssf") as tuned:
        state = tuned.state_dict()
        scales = torch.cat([value for name, value in state.items() if name.endswith("scale")])
        shifts = torch.cat([value for name, value in state.items() if name.endswith("shift")])
    for values, mean in ((scales, 1), (shifts, 0)):
        assert abs(float(values.mean()) - mean) < 0.004
        assert abs(float(values.std()) - 0.02) < 0.003
