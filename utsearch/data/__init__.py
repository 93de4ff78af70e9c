"""Data sets as plain tensors: readers, splits, view banks, and the synthetic sets that ship with utsearch."""

from utsearch.data.dataset import DataError, Dataset, Preprocessing, Split
from utsearch.data.open import open_dataset
from utsearch.data.transform import centre_crop, evaluation_transform, normalise
from utsearch.data.views import view_bank

__all__ = [
    "DataError",
    "Dataset",
    "Preprocessing",
    "Split",
    "centre_crop",
    "evaluation_transform",
    "normalise",
    "open_dataset",
    "view_bank",
]
