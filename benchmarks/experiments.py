"""Whether the statistics of experiments keep their promises: simulations whose truth is known.

    .venv/bin/python benchmarks/experiments.py [--seed 0] [--repeats 1000] [--only aa power cuped off_policy interleaving]

Made users differ in how much they do, before as after, so that their counts and spend are skewed and their history tells of
their future. Prints a Markdown table a part:

- aa: no effect. How often a test finds one: of one look, of twenty with the fixed and with the sequential test;
- power: a planted effect of the size that the design was for, at the designed number of users. How often it is found;
- cuped: the variance that CUPED leaves, over repeats, beside the theory's 1 - corr^2;
- off_policy: estimates of another policy from a log, beside the truth. Bias, and how often the interval holds it (Spark);
- interleaving: two rankers of the same and of different quality. How often either is found better, with as many users in an
  A/B test beside it.

Intervals of shares are Clopper and Pearson's, at 95%.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from bench import header
from statsmodels.stats.proportion import proportion_confint

from recsys_spark.config import changed, load_config
from recsys_spark.experiment_settings import Experiment
from recsys_spark.experiments.assignment import variant
from recsys_spark.experiments.design import Baseline, plan
from recsys_spark.experiments.effects import Effect, deviation, effect, ratio
from recsys_spark.experiments.inference import Fixed, Sequential, Test, test_of
from recsys_spark.experiments.interleaving import Preference, team_draft
from recsys_spark.experiments.moments import Moments

ALPHA, POWER, LIFT = 0.05, 0.8, 0.1
LOOKS, A_LOOK = 20, 200  # looks, and users of both variants that have come since the one before
METRICS = {
    "conversion": {"of": "users", "types": ["purchase"], "role": "primary"},
    "spend": {"of": "value", "types": ["purchase"], "role": "primary"},
    "clicks_a_view": {"of": "events", "types": ["click"], "per": ["view"], "role": "primary"},
}

Floats = npt.NDArray[np.float64]
Part = Callable[[int, int], Iterator[str]]


def main() -> None:
    """Print a Markdown table of each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    print(header(options.seed, f"{options.repeats:,} repeats"))
    for name in options.only:
        print(f"\n### {name}\n")
        for line in PARTS[name](options.seed, options.repeats):
            print(line, flush=True)


def people(rng: np.random.Generator, n: int, lift: float = 0.0) -> dict[str, Floats]:
    """Rows (n, 4) of each metric, as `Moments` has them; `lift` is the relative change of each metric's mean."""
    busy = rng.gamma(2.0, 0.5, n)
    taste = rng.beta(2.0, 18.0, n)

    def span(change: float) -> dict[str, tuple[Floats, Floats]]:
        views = rng.poisson(8.0 * busy).astype(float)
        orders = rng.poisson(2.0 * busy * (1.0 + change))
        spend = rng.gamma(np.maximum(orders, 1e-9), 20.0)
        bought = rng.random(n) < np.minimum(0.15 * busy * (1.0 + change), 1.0)
        clicks = rng.binomial(views.astype(int), np.minimum(taste * (1.0 + change), 1.0)).astype(float)
        one = np.ones(n)
        return {"conversion": (bought.astype(float), one), "spend": (spend, one), "clicks_a_view": (clicks, views)}

    after, before = span(lift), span(0.0)
    return {name: np.column_stack([*after[name], *before[name]]) for name in METRICS}


def aa(seed: int, repeats: int) -> Iterator[str]:
    """No effect: shares of tests that find one."""
    rng = np.random.default_rng(seed)
    yield "| test | metric | found, where nothing is |"
    yield "| --- | --- | --- |"
    everyone, plain = people(rng, 4000), experiment("conversion")
    found: dict[str, list[bool]] = {name: [] for name in METRICS}
    for repeat in range(repeats):
        chosen = plain.model_copy(update={"name": f"aa-{repeat}"})
        is_treated = np.array([variant(chosen, f"u{user}") == "treatment" for user in range(4000)])
        for name, rows in everyone.items():
            found[name].append(is_found(Fixed(ALPHA), compared(rows[~is_treated], rows[is_treated])))
    for name, hits in found.items():
        yield f"| fixed, one look at 4,000 users dealt by the hash of {repeats:,} names | {name} | {share(hits)} |"
    tests = {"fixed": Fixed(ALPHA), "sequential": Sequential(ALPHA, LOOKS * A_LOOK // 2)}
    peeked: dict[tuple[str, str], list[bool]] = {(test, name): [] for test in tests for name in METRICS}
    for _ in range(repeats):
        control, treated = people(rng, LOOKS * A_LOOK // 2), people(rng, LOOKS * A_LOOK // 2)
        for name in METRICS:
            looks = [
                compared(control[name][:n], treated[name][:n])
                for n in range(A_LOOK // 2, LOOKS * A_LOOK // 2 + 1, A_LOOK // 2)
            ]
            for kind, test in tests.items():
                peeked[kind, name].append(any(is_found(test, look) for look in looks))
    for (kind, name), hits in peeked.items():
        yield f"| {kind}, any of {LOOKS} looks, one each {A_LOOK} users | {name} | {share(hits)} |"


def power(seed: int, repeats: int) -> Iterator[str]:
    """A planted effect at the designed size; the sequential test looks at each tenth of it, and ends where it finds one."""
    rng = np.random.default_rng(seed)
    yield f"| test | metric | CUPED | users by the design | {LIFT:.0%} found, designed for {POWER:.0%} | users at the end, mean |"
    yield "| --- | --- | --- | ---: | --- | ---: |"
    many = {name: Moments.of(rows) for name, rows in people(rng, 400_000).items()}
    for kind, name, with_history in product(("fixed", "sequential"), METRICS, (False, True)):
        both = effect(many[name], many[name], with_history)
        assert both is not None
        today = Baseline(ratio(many[name])[0], deviation(many[name]), both.variance_cut, [1e9])
        needed = plan(experiment(name, test=kind, design__minimum_effect=LIFT, design__power=POWER), today, 1.0).users
        test, looks = test_of(kind, ALPHA, needed), 10 if kind == "sequential" else 1
        sizes = [needed // 2 * look // looks for look in range(1, looks + 1)]
        hits, ends = [], []
        for _ in range(repeats // 2):
            control, treated = people(rng, sizes[-1])[name], people(rng, sizes[-1], LIFT)[name]
            found = (n for n in sizes if is_found(test, compared(control[:n], treated[:n], with_history)))
            end = next(found, None)
            hits.append(end is not None)
            ends.append(2 * (end or sizes[-1]))
        cells = (kind, name, "yes" if with_history else "no", f"{needed:,}", share(hits), f"{np.mean(ends):,.0f}")
        yield f"| {' | '.join(cells)} |"


def cuped(seed: int, repeats: int) -> Iterator[str]:
    """The variance of differences, over repeats, with and without history."""
    rng = np.random.default_rng(seed)
    yield "| correlation with history | variance left: theory | over repeats | as reported, mean | found, where nothing is |"
    yield "| ---: | ---: | --- | ---: | --- |"
    for correlation in (0.0, 0.3, 0.6, 0.9):
        looks = []
        for _ in range(repeats):
            x = rng.normal(size=2000)
            y = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(size=2000)
            rows = np.column_stack([y + 5.0, np.ones(2000), x + 5.0, np.ones(2000)])
            looks.append([compared(rows[:1000], rows[1000:], with_history) for with_history in (False, True)])
        plain, known = ([look.difference for look in each] for each in zip(*looks, strict=True))
        reported = np.mean([look.variance_cut for _, look in looks])
        hits = [is_found(Fixed(ALPHA), look) for _, look in looks]
        left, wide = np.var(known) / np.var(plain), log_ratio_error(plain, known)
        over = f"{left:.3f} [{left * np.exp(-1.96 * wide):.3f}, {left * np.exp(1.96 * wide):.3f}]"
        yield f"| {correlation} | {1 - correlation**2:.3f} | {over} | {1 - reported:.3f} | {share(hits)} |"


def log_ratio_error(one: Sequence[float], other: Sequence[float]) -> float:
    """The standard error of the log ratio of two variances of correlated normal samples."""
    both = np.corrcoef(one, other)[0, 1]
    return float(2.0 * np.sqrt((1.0 - both**2) / len(one)))


def off_policy(seed: int, repeats: int) -> Iterator[str]:
    """Estimates of two new policies, one near to the old and one far from it."""
    from pyspark.sql import SparkSession

    from recsys_spark.experiments.off_policy import ESTIMATOR, estimate, sums

    spark = SparkSession.builder.master("local[2]").config("spark.sql.shuffle.partitions", "4").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    yield "| new policy | estimator | truth | mean of estimates | root of mean squared error | interval of 95% holds the truth |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for kind, sharpness in (("near", 1.0), ("far", 3.0)):
        log, truth = bandit_log(seed, repeats, users=500, sharpness=sharpness)
        found: dict[str, list[Any]] = {}
        for row in sums(spark.createDataFrame(log), by=["repeat"]).collect():
            found.setdefault(row[ESTIMATOR], []).append(estimate(row, ALPHA))
        for name, each in sorted(found.items()):
            aim = 1.0 if name == "weight" else truth
            values = np.array([one.value for one in each])
            error = np.sqrt(((values - aim) ** 2).mean())
            held = share([one.low <= aim <= one.high for one in each])
            yield f"| {kind} | {name} | {aim:.4f} | {values.mean():.4f} | {error:.4f} | {held} |"
    spark.stop()


def bandit_log(seed: int, repeats: int, users: int, sharpness: float) -> tuple[pd.DataFrame, float]:
    """Logs of an old policy, each of so many users and two rows a user, and what the new one earns a row.

    Users are of one of 20 kinds, which both policies see, and differ in how ready they are to click, which makes a user's rows
    alike. The old policy is a softmax of rough scores, the new one of better ones, the sharper the further from the old. The
    model is wrong: it knows four fifths of what an item earns, and a constant.
    """
    rng = np.random.default_rng(seed)
    earns = rng.beta(2.0, 8.0, (20, 6))
    old = softmax(2.0 * (earns + rng.normal(0.0, 0.3, earns.shape)))
    new = softmax(sharpness * 4.0 * (earns + rng.normal(0.0, 0.05, earns.shape)))
    model = 0.8 * earns + 0.1
    kind = np.repeat(rng.integers(0, 20, repeats * users), 2)
    ready = np.repeat(rng.uniform(0.5, 1.5, repeats * users), 2)
    shown = (rng.random((len(kind), 1)) > old[kind].cumsum(axis=1)).sum(axis=1).clip(max=5)
    rewards = rng.random(len(kind)) < np.minimum(earns[kind, shown] * ready, 1.0)
    user = np.repeat(np.arange(repeats * users), 2)
    log = {
        "repeat": user // users,
        "user_id": user.astype(str),
        "reward": rewards.astype(float),
        "propensity": old[kind, shown],
        "target": new[kind, shown],
        "predicted": model[kind, shown],
        "predicted_target": (new * model).sum(axis=1)[kind],
    }
    clicks = np.minimum(earns[:, :, np.newaxis] * np.linspace(0.5, 1.5, 2001), 1.0).mean(axis=2)
    return pd.DataFrame(log), float((new * clicks).sum(axis=1).mean())


def softmax(scores: Floats) -> Floats:
    weights: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def interleaving(seed: int, repeats: int, users: int = 200) -> Iterator[str]:
    """Clicks on interleaved lists, and on each ranker's own in an A/B test of as many users."""
    rng = np.random.default_rng(seed)
    yield f"| rankers | found by interleaving {users} users | found by an A/B test of {users} users |"
    yield "| --- | --- | --- |"
    for words, noises in (("alike", (1.0, 1.0)), ("one better", (0.8, 1.3))):
        drafted, split = [], []
        for repeat in range(repeats // 4):
            leads, clicks = [], np.zeros(users)
            for user in range(users):
                wanted = rng.normal(size=40)
                rankings = [
                    np.argsort(-(wanted + rng.normal(0.0, noise, 40)))[:10].astype(str).tolist() for noise in noises
                ]
                listed = team_draft(f"{words}.{repeat}", ("0", "1"), str(user), *rankings, 10)
                leads.append(sum((1 if team == "0" else -1) for item, team in clicked(rng, listed, wanted)))
                own = [(item, "") for item in rankings[user % 2]]
                clicks[user] = len(list(clicked(rng, own, wanted)))
            signs = np.sign(leads)
            drafted.append(Preference(*(int((signs == sign).sum()) for sign in (1, -1, 0))).p_value < ALPHA)
            rows = np.column_stack([clicks, *np.ones((3, users))])
            split.append(is_found(Fixed(ALPHA), compared(rows[0::2], rows[1::2])))
        yield f"| {words} | {share(drafted)} | {share(split)} |"


def clicked(rng: np.random.Generator, listed: Sequence[tuple[str, str]], wanted: Floats) -> Iterator[tuple[str, str]]:
    """A user looks at place k with probability 1 / sqrt(k), and clicks on what is wanted."""
    for place, (item, team) in enumerate(listed, start=1):
        if rng.random() < place**-0.5 / (1.0 + np.exp(1.0 - wanted[int(item)])):
            yield item, team


def experiment(metric: str, **settings: Any) -> Experiment:
    """An experiment of two halves on one metric."""
    plain = {
        "name": "test",
        "layer": "page",
        "variants": {"control": 0.5, "treatment": 0.5},
        "metrics": {metric: METRICS[metric]},
    }
    dotted = {f"experiment.{key.replace('__', '.')}": value for key, value in (plain | settings).items()}
    return changed(DEFAULT, dotted, "benchmark").experiment


def compared(control: Floats, treated: Floats, with_history: bool = True) -> Effect:
    found = effect(Moments.of(control), Moments.of(treated), with_history)
    assert found is not None
    return found


def is_found(test: Test, found: Effect) -> bool:
    return test.p_value(found.difference / found.error, found.users_control + found.users) < ALPHA


def share(hits: Sequence[bool]) -> str:
    low, high = proportion_confint(sum(hits), len(hits), method="beta")
    return f"{np.mean(hits):.3f} [{low:.3f}, {high:.3f}]"


DEFAULT = load_config()
PARTS: Mapping[str, Part] = {
    "aa": aa,
    "power": power,
    "cuped": cuped,
    "off_policy": off_policy,
    "interleaving": interleaving,
}

if __name__ == "__main__":
    main()
