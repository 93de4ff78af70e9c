"""Which device to train on."""

import torch

from utsearch.errors import UserError


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is the first CUDA device if there is one, else the CPU; any other name is torch's own.

    Raises:
        UserError: torch does not know the device, or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"no device {name!r} here ({reason}); try --device auto or --device cpu") from error
    return device
