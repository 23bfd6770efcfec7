"""What to do about a treatment, in a word and in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scipy.stats import chisquare

from recsys_spark.experiment_settings import Experiment
from recsys_spark.experiments.findings import BETTER, HARMED, HELD, UNTESTABLE, WORSE, Finding
from recsys_spark.experiments.outcomes import ALL

SHIP: Final = "ship"
STOP: Final = "stop"
WAIT: Final = "wait"
INVALID: Final = "invalid"


@dataclass(frozen=True)
class Verdict:
    """Of one treatment."""

    variant: str
    verdict: str
    reason: str


def mismatch(variants: Mapping[str, float], users: Mapping[str, int]) -> float:
    """How likely it is that users fall to the variants so unevenly, given their shares: Pearson's chi-squared test.

    (Fabijan et al., 2019, "Diagnosing sample ratio mismatch in online controlled experiments".)

    >>> round(mismatch({"a": 0.5, "b": 0.5}, {"a": 5000, "b": 5000}), 3)
    1.0
    """
    counted = [users.get(name, 0) for name in variants]
    return float(chisquare(counted, [share * sum(counted) for share in variants.values()]).pvalue)


def verdict(
    experiment: Experiment, variant: str, found: Sequence[Finding], users: Mapping[str, int], planned: int, whole: int
) -> Verdict:
    """Whether to ship a treatment.

    - `invalid`: the numbers of users do not fit the shares, or the primary metric cannot be tested;
    - `stop`: the primary metric or a guardrail is worse; or nothing is found at the designed size;
    - `ship`: the primary metric is better, and every guardrail holds;
    - `wait`: anything else; a fixed test waits for its size whatever its figures.

    Args:
        found: of all variants and segments; those of this variant and all users count.
        users: by variant, as they were exposed.
        planned: users of all variants by the design, of which `whole` have had their outcome days.
    """
    own = [one for one in found if one.variant == variant and one.segment == ALL]
    primary = next(one for one in own if one.settings.role == "primary")
    guardrails = [one for one in own if one.settings.role == "guardrail"]
    of_primary = f"{primary.metric} {primary.reason}"
    p = mismatch(experiment.variants, users)
    if p < experiment.mismatch_alpha:
        return Verdict(variant, INVALID, _uneven(experiment, users, p))
    if primary.status == UNTESTABLE:
        return Verdict(variant, INVALID, f"{primary.metric} cannot be tested: {primary.reason}")
    size = f"{whole:,} of the {planned:,} users that it was designed for"
    if experiment.test == "fixed" and whole < planned:
        return Verdict(variant, WAIT, f"{size}: a fixed test is read once, at its size; {of_primary} so far")
    harmed = [f"{one.metric} {one.reason}" for one in guardrails if one.status == HARMED]
    if primary.status == WORSE or harmed:
        worse = [of_primary] * (primary.status == WORSE) + harmed
        return Verdict(variant, STOP, f"it does harm: {'; '.join(worse)}")
    if primary.status == BETTER:
        open_ones = [f"{one.metric} {one.reason}" for one in guardrails if one.status != HELD]
        if open_ones:
            return Verdict(variant, WAIT, f"better, {of_primary}; but not yet shown to hold: {'; '.join(open_ones)}")
        held = f", and {', '.join(one.metric for one in guardrails)} held" if guardrails else ""
        return Verdict(variant, SHIP, f"better: {of_primary}{held}")
    if whole < planned:
        return Verdict(variant, WAIT, f"nothing is sure yet, with {size}: {of_primary}")
    return Verdict(variant, STOP, f"no difference found, with {size}: {of_primary}")


def _uneven(experiment: Experiment, users: Mapping[str, int], p: float) -> str:
    total = sum(users.get(name, 0) for name in experiment.variants)
    counted = ", ".join(
        f"{name} has {users.get(name, 0):,} users, expected {share * total:,.0f}"
        for name, share in experiment.variants.items()
    )
    return (
        f"sample-ratio mismatch (p = {p:.2g}): {counted}. Users of a variant are lost or doubled on the way; find out where: the "
        "figures compare different people"
    )
