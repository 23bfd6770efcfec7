"""How likely each position is looked at, estimated from the log that is trained on."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ROUNDS: Final = 1000
_SETTLED: Final = 1e-8


def propensities_of(shown: Floats, clicked: Floats) -> Floats:
    """The propensity of each position, the greatest being 1: counts (items, positions) -> (positions,).

    In the position-based model a click has the probability p_k g_i: the position is looked at, and the item is wanted.
    Items at several positions tell the two apart. Solved are the equations that hold in the mean,

        p_k = sum over i of clicked_ik / sum over i of shown_ik g_i,  g_i = sum over k of clicked_ik / sum over k of shown_ik p_k

    by turns, until p moves by less than 1e-8 or after 1000 rounds. Positions that were never shown are NaN. O(items x
    positions) a round.

    The bias that is left: g_i is the same for all users. Where the old ranking knew users' tastes, items at the top were
    shown to those who want them, and the top seems to be looked at more than it is.

    Source of the model: Craswell, Zoeter, Taylor and Ramsey (2008), "An Experimental Comparison of Click Position-bias
    Models", WSDM '08. Wang, Golbandi, Bendersky, Metzler and Najork (2018), "Position Bias Estimation for Unbiased Learning
    to Rank in Personal Search", WSDM '18, fit it by expectation maximisation; these equations need fewer rounds and hold
    g_i to no upper bound.

    >>> propensities_of(np.array([[10.0, 10.0], [20.0, 40.0]]), np.array([[8.0, 4.0], [4.0, 4.0]]))
    array([1. , 0.5])
    """
    of_positions, of_items = clicked.sum(axis=0), clicked.sum(axis=1)
    seen = shown.sum(axis=0) > 0
    propensities = np.where(seen, 1.0, 0.0)
    for _ in range(_ROUNDS):
        wanted = _ratio(of_items, shown @ propensities)
        moved = _ratio(of_positions, wanted @ shown)
        moved /= max(moved.max(initial=0.0), 1e-300)
        settled = np.abs(moved - propensities).max(initial=0.0) < _SETTLED
        propensities = moved
        if settled:
            break
    return np.where(seen, propensities, np.nan)


def _ratio(over: Floats, under: Floats) -> Floats:
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0.0)
