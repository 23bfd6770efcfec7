"""From sufficient statistics to effects: ratios by the delta method, less what was known before (CUPED).

A metric is R = mean(y) / mean(d). To first order its error is that of the mean of y / mean(d) - R d / mean(d), a linear form
of each user's numbers (Deng, Knoblich and Lu, 2018, "Applying the delta method in metric analytics"). Users are independent,
their events are not: so the forms are of users, whatever R is per.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys_spark.experiments.moments import Moments

ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class Effect:
    """A treated group beside the control: the metric in both, and the standard errors of difference and lift.

    `lift` and its error are NaN where the control is 0. `variance_cut` is the share of the difference's variance that CUPED
    took out.
    """

    users_control: int
    users: int
    control: float
    treated: float
    error: float
    lift: float
    lift_error: float
    variance_cut: float

    @property
    def difference(self) -> float:
        return self.treated - self.control

    @property
    def varies(self) -> bool:
        """Whether users differ by more than what rounding leaves of equal values."""
        return self.error > ROUNDING * max(abs(self.control), abs(self.treated))


def ratio(moments: Moments) -> tuple[float, float]:
    """The metric and the variance of its estimate; NaN where there is nothing to divide by."""
    if moments.mean[1] == 0.0:
        return math.nan, math.nan
    form = _form(moments)
    return float(moments.mean[0] / moments.mean[1]), _between(form, form, moments) / moments.n


def deviation(moments: Moments) -> float:
    """The standard deviation of the metric between users: that of its linear form."""
    form = _form(moments)
    return math.sqrt(_between(form, form, moments))


def effect(control: Moments, treated: Moments, cuped: bool) -> Effect | None:
    """What the treatment changes; None where the metric has nothing to divide by in one of the groups.

    With CUPED (Deng, Xu, Kohavi and Walker, 2013, "Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data") each value is less theta (X - mean X), X being the same metric of the users' history and theta
    the slope of one on the other within groups: the variance falls by the share corr^2, and nothing is biased, as the
    treatment cannot change the past.
    """
    groups = (control, treated)
    if any(group.mean[1] == 0.0 for group in groups):
        return None
    theta = slope(groups) if cuped else 0.0
    before, after = (_adjusted(group, theta, control + treated) for group in groups)
    variance, plain = before.variance + after.variance, before.plain + after.plain
    lift, lift_error = _lift(before, after)
    cut = 1.0 - variance / plain if plain else 0.0
    return Effect(control.n, treated.n, before.value, after.value, math.sqrt(variance), lift, lift_error, cut)


def slope(groups: Sequence[Moments]) -> float:
    """CUPED's theta: of the metric on its history, within groups; 0 where the history has no variance."""
    if any(group.mean[3] == 0.0 for group in groups):
        return 0.0
    both = [(group.n - 1) * _between(_form(group), _history(group), group) for group in groups]
    history = [(group.n - 1) * _between(_history(group), _history(group), group) for group in groups]
    return sum(both) / sum(history) if sum(history) > 0.0 else 0.0


class _Adjusted(NamedTuple):
    """A group's value less what history tells, the variance of its estimate, and that without CUPED."""

    value: float
    variance: float
    plain: float


def _adjusted(group: Moments, theta: float, everyone: Moments) -> _Adjusted:
    form = _form(group)
    plain = _between(form, form, group) / group.n
    value = float(group.mean[0] / group.mean[1])
    if theta == 0.0:
        return _Adjusted(value, plain, plain)
    form = form - theta * _history(group)
    value -= theta * float(group.mean[2] / group.mean[3] - everyone.mean[2] / everyone.mean[3])
    return _Adjusted(value, _between(form, form, group) / group.n, plain)


def _lift(control: _Adjusted, treated: _Adjusted) -> tuple[float, float]:
    if control.value == 0.0:
        return math.nan, math.nan
    variance = treated.variance / control.value**2 + control.variance * treated.value**2 / control.value**4
    return treated.value / control.value - 1.0, math.sqrt(variance)


def _form(group: Moments) -> npt.NDArray[np.float64]:
    """The gradient of mean(y) / mean(d)."""
    y, d = group.mean[:2]
    return np.array([1.0 / d, -y / d**2, 0.0, 0.0])


def _history(group: Moments) -> npt.NDArray[np.float64]:
    """The gradient of mean(x) / mean(w)."""
    x, w = group.mean[2:]
    return np.array([0.0, 0.0, 1.0 / w, -x / w**2])


def _between(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], group: Moments) -> float:
    """The covariance of two linear forms between users, not below 0 for rounding where they are one."""
    covariance = float(one @ group.covariance @ other)
    return max(covariance, 0.0) if one is other else covariance
