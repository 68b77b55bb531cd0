"""Asynchronous successive halving: which trials are worth another epoch. Pure: no Ray, no clock."""

import numpy as np


class Rungs:
    """Values that trials had when they reached certain epochs, each `factor` times the one before.

    A trial goes on from a rung if its value is not below the best 1/`factor` of those that were there before
    it; the first one always does.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; decisions as Ray
    Tune's ASHA takes them.
    """

    def __init__(self, first: int, last: int, factor: int) -> None:
        """Place the rungs.

        Args:
            first: Epoch of the lowest one.
            last: No rung lies beyond this epoch.
            factor: At least 2.
        """
        self._factor = factor
        self._values: dict[int, dict[int, float]] = {}
        while first <= last:
            self._values[first] = {}
            first *= factor

    @property
    def values(self) -> dict[int, dict[int, float]]:
        """By epoch of the rung, then by trial."""
        return {epoch: dict(values) for epoch, values in self._values.items()}

    def keeps(self, trial: int, epoch: int, value: float) -> bool:
        """Note what a trial has reached, and tell whether it should go on.

        Args:
            trial: Its number; on every rung only its first value counts, so that one that repeats an epoch
                is judged as before.
            epoch: Epochs it has behind it.
            value: Higher is better.
        """
        below = [rung for rung in self._values if rung <= epoch]
        if not below or trial in self._values[below[-1]]:
            return True
        others = self._values[below[-1]]
        kept = not others or value >= np.nanpercentile(list(others.values()), 100 * (1 - 1 / self._factor))
        others[trial] = value
        return bool(kept)
