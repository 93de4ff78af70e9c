"""Images of a listing to pixels, once: parallel workers, memory for small splits and the cache for large ones."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import torch
from torch import Tensor

from utsearch.data.cache import VERSION, Cache
from utsearch.data.dataset import Preprocessing, Split
from utsearch.data.images import read_image
from utsearch.data.listing import Sample, Source

IN_MEMORY = 64 * 2**20  # bytes of pixels; decoding fewer takes about a second

Progress = Callable[[str, int, int], None]  # what is done, how many are done, of how many


@dataclass(frozen=True)
class Decoder:
    """How the splits of one set are decoded.

    Attributes:
        source: opens the images.
        preprocessing: to the stored square.
        fingerprint: of the data set, for the key of the cache.
        cache: where large splits are kept.
        progress: told now and then.
        workers: images at once; None for the processors that this process may use.
    """

    source: Source
    preprocessing: Preprocessing
    fingerprint: str
    cache: Cache
    progress: Progress | None = None
    workers: int | None = None

    def __call__(self, samples: Sequence[Sample], part: str) -> Split:
        """Decode a split; raises DataError that names the first file that cannot be read."""
        side = self.preprocessing.resize
        shape = (len(samples), 3, side, side)

        def fill(out: Tensor) -> None:
            self._fill(out, [sample.name for sample in samples], part)

        if len(samples) * 3 * side * side <= IN_MEMORY:
            pixels = torch.empty(shape, dtype=torch.uint8)
            fill(pixels)
        else:
            pixels = self.cache.get(self._key(samples, part), shape, fill)
        return Split(pixels, torch.tensor([sample.label for sample in samples]))

    def _fill(self, out: Tensor, names: Sequence[str], part: str) -> None:
        def one(i: int) -> None:
            out[i] = read_image(self.source, names[i], self.preprocessing)

        # Pillow decodes and resizes outside of the interpreter's lock.
        workers = ThreadPoolExecutor(self.workers or n_workers())
        try:
            tasks = [workers.submit(one, i) for i in range(len(names))]
            for done, task in enumerate(as_completed(tasks), 1):
                task.result()
                if self.progress and (done % 32 == 0 or done == len(names)):
                    self.progress(f"decoding {part}", done, len(names))
        finally:
            workers.shutdown(cancel_futures=True)

    def _key(self, samples: Sequence[Sample], part: str) -> str:
        """Set, preprocessing and every file's time of change: what the fingerprint does not read is seen too."""
        digest = hashlib.sha256(f"{VERSION} {self.fingerprint} {part} {self.preprocessing}\n".encode())
        for name, _ in samples:
            digest.update(f"{name} {self.source.stamp(name)}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()[:32]


def n_workers() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
