"""Images of a listing to pixels, once: parallel workers, memory for small splits and the cache for large ones."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import torch
from torch import Tensor

from utsearch.data.cache import VERSION, Cache
from utsearch.data.dataset import Preprocessing, Progress, Split
from utsearch.data.images import Unreadable, read_image
from utsearch.data.listing import Sample, Source

IN_MEMORY = 64 * 2**20  # bytes of pixels; decoding fewer takes about a second


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
        """Decode a split; raises Unreadable with all of the files that cannot be read."""
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

    def check(self, samples: Sequence[Sample], part: str) -> None:
        """Decode a split and keep nothing of it; raises Unreadable with all of the files that cannot be read."""
        self._each([sample.name for sample in samples], f"checking {part}", lambda i, pixels: None)

    def _fill(self, out: Tensor, names: Sequence[str], part: str) -> None:
        def keep(i: int, pixels: Tensor) -> None:
            out[i] = pixels

        self._each(names, f"decoding {part}", keep)

    def _each(self, names: Sequence[str], doing: str, keep: Callable[[int, Tensor], None]) -> None:
        """Hand every image over by its number; those that cannot be read are named together at the end."""
        unreadable: list[tuple[str, str]] = []

        def one(i: int) -> None:
            try:
                keep(i, read_image(self.source, names[i], self.preprocessing))
            except Unreadable as error:
                unreadable.extend(error.files)

        # Pillow decodes and resizes outside of the interpreter's lock.
        workers = ThreadPoolExecutor(self.workers or n_workers())
        try:
            tasks = [workers.submit(one, i) for i in range(len(names))]
            for done, task in enumerate(as_completed(tasks), 1):
                task.result()
                if self.progress and (done % 32 == 0 or done == len(names)):
                    self.progress(doing, done, len(names))
        finally:
            workers.shutdown(cancel_futures=True)
        if unreadable:
            raise Unreadable(unreadable)

    def _key(self, samples: Sequence[Sample], part: str) -> str:
        """Set, preprocessing and every file's time of change: what the fingerprint does not read is seen too."""
        digest = hashlib.sha256(f"{VERSION} {self.fingerprint} {part} {self.preprocessing}\n".encode())
        for name, _ in samples:
            digest.update(f"{name} {self.source.stamp(name)}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()[:32]


def n_workers() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
