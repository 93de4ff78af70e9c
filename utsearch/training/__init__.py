"""Training one design by rungs, and the problem that a search hands designs to. Knows no studies."""

from utsearch.training.device import choose_device
from utsearch.training.problem import Problem, open_problem
from utsearch.training.recipe import Recipe
from utsearch.training.train import Run, Rung

__all__ = ["Problem", "Recipe", "Run", "Rung", "choose_device", "open_problem"]
