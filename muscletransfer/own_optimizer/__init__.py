"""An optimiser and a schedule of the user's own, by class path, for every task of the library."""

from muscletransfer.own_optimizer.chosen import Chosen
from muscletransfer.own_optimizer.mixin import ChoosesOptimizer

__all__ = ["ChoosesOptimizer", "Chosen"]
