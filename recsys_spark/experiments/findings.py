"""What the figures of each metric and treatment say, corrected for how many they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from statsmodels.stats.multitest import multipletests

from recsys_spark.experiment_settings import Experiment, Metric
from recsys_spark.experiments.effects import Effect, effect
from recsys_spark.experiments.inference import Test, test_of
from recsys_spark.experiments.moments import Moments
from recsys_spark.experiments.outcomes import ALL

BETTER, WORSE, OPEN = "better", "worse", "open"
HELD, HARMED, UNPROVEN = "held", "harmed", "unproven"
EXPLORATORY, UNTESTABLE = "exploratory", "untestable"

_CORRECTIONS: Final = {"holm": "holm", "benjamini_hochberg": "fdr_bh"}


class Key(NamedTuple):
    """Whose sums they are."""

    segment: str
    metric: str
    variant: str


@dataclass(frozen=True)
class Finding:
    """One metric of one treatment beside the control, in one segment. `effect` is None where there is nothing to compare."""

    segment: str
    metric: str
    settings: Metric
    variant: str
    effect: Effect | None
    reach: float = math.nan
    p_value: float = math.nan
    p_adjusted: float = math.nan
    status: str = UNTESTABLE
    reason: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference."""
        assert self.effect is not None
        half = self.reach * self.effect.error
        return self.effect.difference - half, self.effect.difference + half

    @property
    def lift_interval(self) -> tuple[float, float]:
        """Of the lift; NaN where the control is 0."""
        assert self.effect is not None
        half = self.reach * self.effect.lift_error
        return self.effect.lift - half, self.effect.lift + half


def findings(experiment: Experiment, planned: int, sums: Mapping[Key, Moments]) -> list[Finding]:
    """Every metric and treatment of every segment, `all` first, each with its status.

    The correction is over the metrics of all users that are no guardrails. Guardrails are tests of non-inferiority, all of which
    have to pass, which needs none (Schultzberg, Ankargren and Frånberg, 2024, "Risk-aware product decisions in A/B tests with
    multiple metrics"); segments are not tested at all.

    Args:
        planned: users of all variants together, by the design.
        sums: a group without users has no entry.
    """
    segments = sorted({key.segment for key in sums}, key=lambda name: (name != ALL, name))
    found = [
        _measured(experiment, planned, sums, Key(segment, metric, variant))
        for segment in segments
        for metric in experiment.metrics
        for variant in experiment.treatments
    ]
    return [_judged(one, experiment.alpha) for one in _corrected(found, experiment)]


def _measured(experiment: Experiment, planned: int, sums: Mapping[Key, Moments], key: Key) -> Finding:
    metric = experiment.metrics[key.metric]
    plain = Finding(key.segment, key.metric, metric, key.variant, None)
    control, treated = sums.get(key._replace(variant=experiment.control)), sums.get(key)
    if control is None or treated is None or min(control.n, treated.n) < 2:
        return replace(plain, reason="fewer than two users in a variant")
    found = effect(control, treated, metric.cuped)
    if found is None:
        return replace(plain, reason=f"nothing to divide by: no event of {', '.join(metric.per)}")
    if not found.varies:
        words = f"zero variance: every user of a variant has the same value, {found.control:g} and {found.treated:g}"
        return replace(plain, effect=found, reason=words)
    test = _test(experiment, planned, key.variant)
    n = found.users_control + found.users
    return replace(
        plain, effect=found, reach=test.reach(n), p_value=test.p_value(found.difference / found.error, n), status=OPEN
    )


def _test(experiment: Experiment, planned: int, variant: str) -> Test:
    of_both = experiment.variants[experiment.control] + experiment.variants[variant]
    return test_of(experiment.test, experiment.alpha, max(round(planned * of_both), 1))


def _corrected(found: Iterable[Finding], experiment: Experiment) -> Iterator[Finding]:
    listed = list(found)
    tested = [number for number, one in enumerate(listed) if _is_tested(one)]
    p_values = [listed[number].p_value for number in tested]
    if tested and experiment.correction != "none":
        p_values = list(multipletests(p_values, experiment.alpha, _CORRECTIONS[experiment.correction])[1])
    adjusted = dict(zip(tested, p_values, strict=True))
    for number, one in enumerate(listed):
        yield replace(one, p_adjusted=float(adjusted[number])) if number in adjusted else one


def _is_tested(one: Finding) -> bool:
    return one.segment == ALL and one.settings.role != "guardrail" and not math.isnan(one.p_value)


def _judged(one: Finding, alpha: float) -> Finding:
    if one.status == UNTESTABLE:
        return one
    if one.segment != ALL:
        status = EXPLORATORY
    elif one.settings.role == "guardrail":
        status = _guarded(one)
    elif one.p_adjusted < alpha:
        assert one.effect is not None
        status = BETTER if (one.effect.difference > 0) == (one.settings.goal == "increase") else WORSE
    else:
        status = OPEN
    return replace(one, status=status, reason=_words(one, alpha))


def _guarded(one: Finding) -> str:
    """Held where a loss beyond the margin is ruled out, harmed where a loss is sure, else unproven."""
    low, high = one.lift_interval
    worst, best = (low, high) if one.settings.goal == "increase" else (-high, -low)
    if math.isnan(low):
        return UNTESTABLE
    return HELD if worst > -one.settings.margin else HARMED if best < 0.0 else UNPROVEN


def _words(one: Finding, alpha: float) -> str:
    """`+3.1% (95% interval +0.4% to +5.8%), p = 0.0210, corrected = 0.0420`; of differences where the control is 0."""
    assert one.effect is not None
    if math.isnan(one.effect.lift):
        change, ends, form = one.effect.difference, one.interval, "{:+.4g}"
    else:
        change, ends, form = one.effect.lift, one.lift_interval, "{:+.2%}"
    low, high = (form.format(end) for end in ends)
    corrected = f", corrected {_shown(one.p_adjusted)}" if one.p_adjusted > one.p_value else ""
    return f"{form.format(change)} ({1 - alpha:.0%} interval {low} to {high}), p {_shown(one.p_value)}{corrected}"


def _shown(p_value: float) -> str:
    return "< 0.0001" if p_value < 0.0001 else f"= {p_value:.4f}"
