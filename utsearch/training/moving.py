"""Tensors that lie on the device where there is room, else on the host, from where rows are moved batch by batch."""

import torch
from torch import Tensor

SHARE = 0.5  # of a GPU's free memory that stored images, and stored activations, may take when they are placed


def home(n_bytes: int, device: torch.device, free: int | None = None) -> torch.device:
    """Where so many bytes lie for a device: on it if they take at most `SHARE` of what is free there, else on the CPU.

    Args:
        n_bytes: of the stored tensors together.
        device: that computes.
        free: bytes free on it; None asks the device. A CPU always has room, or says itself that it has none.
    """
    if device.type != "cuda":
        return device
    if free is None:
        free, _ = torch.cuda.mem_get_info(device)
    return device if n_bytes <= SHARE * free else torch.device("cpu")


def rows(stored: Tensor, chosen: Tensor, device: torch.device) -> Tensor:
    """Some rows of a stored tensor on a device, through pinned memory where they come from the host to a GPU."""
    if stored.device == device:
        return stored[chosen.to(device, non_blocking=True)]
    found = torch.empty((len(chosen), *stored.shape[1:]), dtype=stored.dtype, pin_memory=device.type == "cuda")
    torch.index_select(stored, 0, chosen.cpu(), out=found)
    return found.to(device, non_blocking=True)
