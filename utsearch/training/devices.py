"""Check-up of what can be trained on."""

import os
from collections.abc import Iterator

import torch

from utsearch.findings import Finding

FEW_BYTES = 2**30  # free GPU memory below which a ViT-B's step finds none


def check_devices() -> Iterator[Finding]:
    """The CPU and its threads, each GPU and its memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    crowded = threads > cores
    said = f"CPU: {cores} cores for this process, {threads} threads of torch"
    yield Finding("devices", said, "note" if crowded else "fine", "set OMP_NUM_THREADS" if crowded else "")
    if not torch.cuda.is_available():
        yield Finding("devices", "no CUDA device: everything runs on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        yield _gpu(index)


def _gpu(index: int) -> Finding:
    try:
        free, total = torch.cuda.mem_get_info(index)
        torch.ones(1, device=f"cuda:{index}").sum().item()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        return Finding("devices", f"cuda:{index} does not compute: {reason}", "problem", "use another --device")
    said = f"cuda:{index}: {torch.cuda.get_device_name(index)}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    return Finding("devices", said, "note" if free < FEW_BYTES else "fine")
