"""Data sets as plain tensors: readers, splits, view banks, and the synthetic sets that ship with utsearch."""

from utsearch.data.dataset import DataError, Dataset, Preprocessing, Split
from utsearch.data.open import open_dataset
from utsearch.data.protocol import PROTOCOLS, preprocessing_of
from utsearch.data.subset import WHOLE, Subset
from utsearch.data.transform import centre_crop, evaluation_transform, normalise
from utsearch.data.views import Augmentation, view_bank

__all__ = [
    "PROTOCOLS",
    "WHOLE",
    "Augmentation",
    "DataError",
    "Dataset",
    "Preprocessing",
    "Split",
    "Subset",
    "centre_crop",
    "evaluation_transform",
    "normalise",
    "open_dataset",
    "preprocessing_of",
    "view_bank",
]
