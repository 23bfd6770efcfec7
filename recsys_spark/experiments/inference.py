"""How sure an estimate is: at one look that was planned, or at any look whatsoever."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm


@dataclass(frozen=True)
class Fixed:
    """The normal test of one planned look. Looked at again and again, it finds what is not there."""

    alpha: float

    def reach(self, n: int, tests: int = 1) -> float:
        """Half the width, in standard errors, of intervals that hold for so many tests at once (Bonferroni)."""
        return float(norm.isf(self.alpha / tests / 2))

    def p_value(self, z: float, n: int) -> float:
        """Of an estimate z standard errors from 0, two-sided."""
        return float(2 * norm.sf(abs(z)))


@dataclass(frozen=True)
class Sequential:
    """The asymptotic confidence sequence and its test, the normal mixture SPRT: valid at every look at once.

    With n users, rho^2 = r, the interval reaches

        sqrt((n r + 1) / (n r) * log((n r + 1) / alpha^2))

    standard errors (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, 2024, "Time-uniform central limit theory and asymptotic
    confidence sequences", theorem 2.2), and the p-value is the inverse of the mixture's likelihood ratio (Johari, Koomen,
    Pekelis and Walsh, 2017, "Peeking at A/B tests"), so that p < alpha exactly where the interval leaves 0 out. r makes the
    interval narrowest at `planned` users (appendix B.2). Asymptotic: early looks want some hundred users a variant.
    """

    alpha: float
    planned: int

    @property
    def rho_squared(self) -> float:
        log = -2 * math.log(self.alpha)
        return (log + math.log(log + 1)) / self.planned

    def reach(self, n: int, tests: int = 1) -> float:
        """Half the width, in standard errors, of intervals that hold for so many tests at once (Bonferroni)."""
        scaled = n * self.rho_squared
        return math.sqrt((scaled + 1) / scaled * (math.log(scaled + 1) - 2 * math.log(self.alpha / tests)))

    def p_value(self, z: float, n: int) -> float:
        """Of an estimate z standard errors from 0, two-sided."""
        scaled = n * self.rho_squared
        return min(1.0, math.sqrt(scaled + 1) * math.exp(-0.5 * z * z * scaled / (scaled + 1)))


Test = Fixed | Sequential


def test_of(kind: str, alpha: float, planned: int) -> Test:
    """The test by its name in `experiment.test`."""
    return Fixed(alpha) if kind == "fixed" else Sequential(alpha, planned)
