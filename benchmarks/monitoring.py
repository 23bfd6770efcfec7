"""How often monitoring raises an alarm where nothing happened, and how soon it finds what was planted.

    .venv/bin/python benchmarks/monitoring.py [--seeds 0 1 ...] [--days 200] [--retrain 7] [--plants 8]

Made events (those of jobs/generate.py, block by block, without Spark) are played day by day: a truncated SVD of the last eight
weeks is trained every `--retrain` days, its lists go live the day after, newcomers get what is popular. The figures of each day
are counted in numpy as jobs/monitor.py counts them, and held against their history by the package's own judging, with the
settings of conf/default.yaml. Prints Markdown:

- quiet months: alarms a month over all figures, by seed, with Poisson's 95% interval;
- planted: at so many places of each seed, the share found on the day or the day after (an alarm that begins then and is none
  without the plant), with Clopper and Pearson's interval, and which figures told it:
  popularity: tastes and popularity move by half (generate.drift_strength); drop: half of the events are lost; late: the last
  eight hours have not come; scores: those of the lists are half as large again; quality: the lists are those of another index.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from bench import header
from scipy import sparse, stats
from scipy.sparse.linalg import svds
from statsmodels.stats.proportion import proportion_confint

from recsys_spark.config import load_config
from recsys_spark.events.made_events import BLOCK_EVENTS, Block, block_count, make_block
from recsys_spark.events.made_population import World
from recsys_spark.events.made_time import day_shares
from recsys_spark.explore.groups import Frequencies
from recsys_spark.explore.tail import gini
from recsys_spark.monitoring.drift import OTHER, OWN, divergences, grouped
from recsys_spark.monitoring.judging import MONTH_DAYS, Judged, Past, judge
from recsys_spark.monitoring.measures import Figure
from recsys_spark.settings import Generate

USERS, ITEMS, A_DAY = 3000, 600, 2500
LENGTH, FACTORS, LEARNT_DAYS = 10, 16, 56
FIRST = LEARNT_DAYS + 7  # the first day that is monitored
START = date(2024, 1, 1)
Array = npt.NDArray[Any]
History = dict[tuple[str, str], list[Past]]
SETTINGS = load_config(settings=["monitor.features=[event_type, hour, event_value, item_popularity, user_activity]"])


@dataclass(frozen=True)
class Events:
    """Events in order of days."""

    day: Array
    user: Array
    item: Array
    second: Array
    purchase: Array
    spend: Array

    def of(self, first: int, last: int) -> Events:
        low, high = np.searchsorted(self.day, [first, last + 1])
        return self.where(slice(low, high))

    def where(self, chosen: Any) -> Events:
        return Events(*(column[chosen] for column in vars(self).values()))

    def then(self, others: Events) -> Events:
        return Events(*(np.concatenate(both) for both in zip(vars(self).values(), vars(others).values(), strict=True)))


@dataclass(frozen=True)
class Lists:
    """What each user is shown: (users, places); `by_model` where popularity did not fill in, `there` who has a list."""

    items: Array
    scores: Array
    by_model: Array
    there: Array


def made(seed: int, days: int, drift_day: int | None = None) -> World:
    settings = dict(SETTINGS.generate) | {
        "users": USERS, "items": ITEMS, "events": A_DAY * days, "days": days, "end": START + timedelta(days=days - 1),
        "drift_day": drift_day, "drift_strength": 0.5,
    }  # fmt: skip
    return World(Generate(**settings), seed)


def events_of(world: World, first: int = 0, last: int | None = None) -> Events:
    """The events of some days; no others are made."""
    ends = np.cumsum(day_shares(world.made)) * world.made.events
    low = int(ends[first - 1] // BLOCK_EVENTS) - 1 if first else 0
    high = block_count(world.made) if last is None else int(ends[last] // BLOCK_EVENTS) + 2
    blocks: list[Block] = [make_block(world, n) for n in range(max(low, 0), min(high, block_count(world.made)))]
    columns = [np.concatenate([getattr(block, name) for block in blocks]) for name in Events.__annotations__]
    return Events(*columns).of(first, world.made.days if last is None else last)


class Shop:
    """A made shop: its events, and what its recommender shows on each day."""

    def __init__(self, seed: int, days: int, retrain: int) -> None:
        self.seed, self.days, self.retrain = seed, days, retrain
        self.events = events_of(made(seed, days))
        self.trained = lru_cache(maxsize=4)(self._trained)
        self.lists = lru_cache(maxsize=8)(self._lists)

    def model_date(self, night: int) -> int:
        return night - night % self.retrain

    def _trained(self, day: int) -> tuple[Array, Array, Array]:
        """The lists by a model of the events up to a day, and which users it knows."""
        known = self.events.of(day - LEARNT_DAYS + 1, day)
        counts = sparse.coo_array((np.ones(len(known.user)), (known.user, known.item)), shape=(USERS, ITEMS)).tocsr()
        counts.data = np.log1p(counts.data)
        left, weights, right = svds(counts, FACTORS, v0=np.ones(min(counts.shape)))
        scores = (left * weights) @ right
        best = np.argsort(-scores, axis=1, kind="stable")[:, :LENGTH]
        return best, np.take_along_axis(scores, best, 1), np.bincount(known.user, minlength=USERS) > 0

    def _lists(self, night: int) -> Lists:
        best, scores, known = self.trained(self.model_date(night))
        popular = np.argsort(-np.bincount(self.events.of(night - 27, night).item, minlength=ITEMS), kind="stable")
        there = np.bincount(self.events.of(0, night).user, minlength=USERS) > 0
        return Lists(np.where(known[:, None], best, popular[:LENGTH]), scores, known, there)

    def earlier(self, night: int) -> int:
        """The night whose scores are compared: that of the model, or the one before."""
        return night - 1 if self.model_date(night) == night else self.model_date(night)


def figures_of(shop: Shop, events: Events, day: int, lists: Lists) -> list[Figure]:
    """All figures of a day, counted as the job does."""
    night = day - 1
    now, late = events.of(day, day), events.of(day - SETTINGS.monitor.stale_days, night)
    reference = events.of(day - SETTINGS.monitor.reference_days, night)
    return [
        *_online(now, lists),
        Figure("list_age_days", "", 1.0, 1),
        Figure("model_age_days", "", float(day - shop.model_date(night)), 1),
        *_catalogue(now, late, lists),
        Figure("events", "", float(len(now.day)), len(now.day)),
        Figure("users", "", float(len(np.unique(now.user))), len(now.user)),
        Figure("latency_hours", "", 24.0 - now.second.max() / 3600, len(now.day)),
        *_drift(now, reference),
        *_scores(lists, shop.lists(shop.earlier(night)), OTHER if shop.model_date(night) == night else OWN),
    ]


def _online(now: Events, lists: Lists) -> Iterator[Figure]:
    pairs, times = np.unique(np.stack([now.user, now.item]), axis=1, return_counts=True)
    users, place = pairs[0], lists.items[pairs[0]] == pairs[1][:, None]
    at = np.where(place.any(1), place.argmax(1) + 1, 0)
    acted, relevant = np.unique(users, return_counts=True)
    of = np.searchsorted(acted, users)
    gain = np.bincount(of, np.where(at > 0, 1 / np.log2(1 + np.maximum(at, 1)), 0.0))
    ideal = np.cumsum(1 / np.log2(np.arange(2, LENGTH + 2)))[np.minimum(relevant, LENGTH) - 1]
    listed = lists.there[acted]
    n = int(listed.sum())
    yield Figure("hit_rate", "10", float((gain > 0)[listed].mean()), n)
    yield Figure("ndcg", "10", float((gain / ideal)[listed].mean()), n)
    yield Figure("users_with_list", "", float(listed.mean()), len(acted))
    counts = times[lists.there[users]]
    yield Figure("on_list_share", "", float(counts[at[lists.there[users]] > 0].sum() / counts.sum()), int(counts.sum()))


def _catalogue(now: Events, late: Events, lists: Lists) -> Iterator[Figure]:
    of_now, of_late, places = (
        np.bincount(items, minlength=ITEMS) for items in (now.item, late.item, lists.items[lists.there].ravel())
    )
    active, listed = of_late > 0, places > 0
    head = of_late >= np.quantile(of_late[active], 1 - SETTINGS.evaluate.head_share)
    yield Figure("coverage", "", float((active & listed).sum() / active.sum()), int(active.sum()))
    yield Figure("stale_items", "", float((listed & ~active & (of_now == 0)).sum() / listed.sum()), int(listed.sum()))
    yield Figure("lists_gini", "", _gini(places[active]), int(active.sum()))
    yield Figure("lists_head_share", "", float(places[head].sum() / places.sum()), int(places.sum()))
    yield Figure("events_head_share", "", float(of_now[head].sum() / of_now.sum()), int(of_now.sum()))
    yield Figure("events_gini", "", _gini(of_late[active]), int(active.sum()))


def _gini(counts: Array) -> float:
    return gini(Frequencies(*np.unique(counts, return_counts=True)))


def _drift(now: Events, reference: Events) -> Iterator[Figure]:
    def counts(of: Callable[[Events], Array], size: int) -> tuple[list[int], list[int]]:
        one, other = (np.bincount(of(events), minlength=size) for events in (reference, now))
        both = zip(one.tolist(), other.tolist(), strict=True)
        return grouped({str(place): counts for place, counts in enumerate(both) if any(counts)})

    yield from divergences("feature", "event_type", counts(lambda events: events.purchase.astype(int), 2))
    yield from divergences("feature", "hour", counts(lambda events: events.second // 3600, 24))
    spends = [events.spend[events.purchase] for events in (reference, now)]
    yield from divergences("feature", "event_value", _binned(spends[0], spends))
    for name, key, size in (("item_popularity", "item", ITEMS), ("user_activity", "user", USERS)):
        had = np.bincount(getattr(reference, key), minlength=size)
        each = [had[getattr(events, key)] for events in (reference, now)]
        yield from divergences("feature", name, _binned(each[0], each))


def _scores(now: Lists, earlier: Lists, part: str) -> list[Figure]:
    each = [lists.scores[lists.by_model & lists.there].ravel() for lists in (earlier, now)]
    return divergences("score", part, _binned(each[0], each))


def _binned(reference: Array, each: Sequence[Array]) -> tuple[list[int], list[int]]:
    edges = np.unique(np.quantile(reference, np.arange(1, 10) / 10))
    one, other = (np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in each)
    return one[one + other > 0].tolist(), other[one + other > 0].tolist()


def judged(history: History, figures: Sequence[Figure], day: int) -> list[Judged]:
    return judge(figures, history, START + timedelta(days=day), SETTINGS.monitor)


def remember(history: History, found: Sequence[Judged]) -> History:
    """The history with another day; the given one stays as it is, but for the days that no longer count."""
    grown = defaultdict(list, {key: past[-SETTINGS.monitor.history_days :] for key, past in history.items()})
    for one in found:
        grown[one.figure.metric, one.figure.part].append(Past(one.day, one.figure.value, one.since, one.bound))
    return grown


def planted(shop: Shop, kind: str, day: int) -> Iterator[tuple[Events, Lists]]:
    """Events and lists of a day and the next, with something planted from that day on."""
    rng = np.random.default_rng([shop.seed, day])
    before, two = shop.events.of(0, day - 1), shop.events.of(day, day + 1)
    if kind == "popularity":
        two = events_of(made(shop.seed, shop.days, day), day, day + 1)
    elif kind == "drop":
        two = two.where(rng.random(len(two.day)) < 0.5)
    elif kind == "late":
        two = two.where(two.second < 16 * 3600)
    events = before.then(two)
    renamed = rng.permutation(ITEMS)
    for today in (day, day + 1):
        lists = shop.lists(today - 1)
        if kind == "scores":
            lists = replace(lists, scores=lists.scores * 1.5)
        elif kind == "quality":
            lists = replace(lists, items=renamed[lists.items])
        yield events, lists


KINDS = ("popularity", "drop", "late", "scores", "quality")


def play(shop: Shop, plants: int) -> tuple[Counter[str], float, Mapping[str, list[Counter[str]]]]:
    """New alarms by figure over the quiet months, how many months, and by kind what each plant raised."""
    bounded_from = FIRST + SETTINGS.monitor.least_days
    places = np.linspace(FIRST + SETTINGS.monitor.history_days, shop.days - 3, plants).astype(int)
    history: History = {}
    alarms: Counter[str] = Counter()
    found: dict[str, list[Counter[str]]] = defaultdict(list)
    for day in range(FIRST, shop.days):
        today = judged(history, figures_of(shop, shop.events, day, shop.lists(day - 1)), day)
        if day in places:
            later = remember(history, today)
            tomorrow = judged(later, figures_of(shop, shop.events, day + 1, shop.lists(day)), day + 1)
            quiet = {_name(one) for one in (*today, *tomorrow) if one.since is not None}
            for kind in KINDS:
                found[kind].append(_raised(shop, kind, day, history, quiet))
        alarms.update(_name(one) for one in today if one.is_new)
        history = remember(history, today)
    return alarms, (shop.days - bounded_from) / MONTH_DAYS, found


def _raised(shop: Shop, kind: str, day: int, history: History, quiet: set[str]) -> Counter[str]:
    """The figures whose alarm begins on the day of a plant or the next, less those that are out of bounds without it."""
    raised: set[str] = set()
    for today, (events, lists) in zip((day, day + 1), planted(shop, kind, day), strict=True):
        found = judged(history, figures_of(shop, events, today, lists), today)
        raised |= {_name(one) for one in found if one.is_new}
        history = remember(history, found)
    return Counter(raised - quiet)


def _name(one: Judged) -> str:
    return f"{one.figure.metric} {one.figure.part}".strip()


def main() -> None:
    """Play each seed, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--retrain", type=int, default=7, help="a model is trained every so many days")
    parser.add_argument("--plants", type=int, default=8, help="of each kind, a seed")
    options = parser.parse_args()
    print(header(options.seeds[0], f"seeds {options.seeds}, {USERS:,} users, {ITEMS:,} items, {A_DAY:,} events a day"))
    played = [play(Shop(seed, options.days, options.retrain), options.plants) for seed in options.seeds]
    for line in (*_quiet(played), "", *_found(played)):
        print(line)


def _quiet(played: Sequence[Any]) -> Iterator[str]:
    alarms: Counter[str] = sum((one[0] for one in played), Counter())
    months, total = sum(one[1] for one in played), alarms.total()
    low, high = stats.chi2.ppf(0.025, 2 * total) / 2 if total else 0.0, stats.chi2.ppf(0.975, 2 * total + 2) / 2
    rates = [one[0].total() / one[1] for one in played]
    told = ", ".join(f"{name} {n}" for name, n in alarms.most_common()) or "none"
    interval = f"[{low / months:.2f}, {high / months:.2f}]"
    by_seed = f"by seed {min(rates):.2f} to {max(rates):.2f}"
    yield f"\n{total} alarms in {months:.1f} quiet months: {total / months:.2f} a month {interval}, {by_seed}. Of {told}."


def _found(played: Sequence[Any]) -> Iterator[str]:
    yield "| planted | found within two days | told by, of the plants |"
    yield "| --- | --- | --- |"
    for kind in KINDS:
        plants = [raised for one in played for raised in one[2][kind]]
        hits = sum(bool(raised) for raised in plants)
        low, high = proportion_confint(hits, len(plants), method="beta")
        told: Counter[str] = sum(plants, Counter())
        words = ", ".join(f"{name} {n / len(plants):.0%}" for name, n in told.most_common(4))
        yield f"| {kind} | {hits} of {len(plants)}: {hits / len(plants):.3f} [{low:.3f}, {high:.3f}] | {words} |"


if __name__ == "__main__":
    main()
