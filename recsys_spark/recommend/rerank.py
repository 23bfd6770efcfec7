"""From a user's best candidates to the list that is shown: fresh, diverse, capped, fair and explored, each if asked for.

Numpy alone, over a block of users; docs/reranking.md says when each step is of use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from recsys_spark.errors import UserError
from recsys_spark.recommend.constrained import Dice, Limits, exposure_weights, fill
from recsys_spark.recommend.diversity import ByCategory, ByVectors, Likeness, dpp, mmr, within_reach
from recsys_spark.rerank_settings import Rerank

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Step = Literal["freshness", "diversity", "category_cap", "exposure", "exploration"]

_CHUNK_FLOATS: Final = 1 << 18  # that are worked on at a time: 1 MiB stays in a core's cache


@dataclass(frozen=True)
class Scored:
    """Candidates of a block of users: items and scores (U, C), best first, items -1 behind the last."""

    user_idx: Ints
    items: Ints
    scores: Floats


@dataclass(frozen=True)
class ItemFacts:
    """What re-ranking knows of the items, by `item_idx`: small enough to be broadcast. Items beyond the end are unknown."""

    age_days: Floats  # (I,) NaN: unknown
    category: Ints  # (I,) codes, -1: unknown
    group: Ints  # (I,) places in `group_names`, -1: none
    group_names: tuple[str, ...] = ()
    vectors: Floats | None = None  # (I, d) of length 1, or 0 for an item without


@dataclass(frozen=True)
class Ranked:
    """Lists of a block of users, (U, n) each: -1 where the candidates did not suffice.

    `scores` are still those of the model, so they need not fall from place to place. `places` are those that the items had
    among the candidates. `propensity` is the probability with which each item was put at its place, given the places before.
    """

    items: Ints
    scores: Floats
    propensity: Doubles
    places: Ints


@dataclass(frozen=True)
class RerankPolicy:
    """How lists are re-ranked: small, and shipped to every task. `steps` are those that are on, in their order."""

    settings: Rerank
    steps: tuple[Step, ...] = ()
    least: tuple[float, ...] = ()  # by group code
    seed: int = 0
    day: int = 0  # of the run, as its ordinal

    def pool(self, n: int) -> int:
        """How many of a user's best candidates take part in a list of n."""
        return max(n, self.settings.pool) if self.steps else n

    def first(self, steps: int) -> RerankPolicy:
        """The same with only so many of its steps."""
        return replace(self, steps=self.steps[:steps])


def policy_of(settings: Rerank, group_names: Sequence[str], seed: int, day: int) -> RerankPolicy:
    """The policy that the settings ask for, over groups of these names.

    Raises:
        UserError: `recommend.rerank.exposure.least` names a group that no item is of.
    """
    exposure = settings.exposure
    unknown = sorted(set(exposure.least) - set(group_names))
    if unknown:
        raise UserError(
            f"recommend.rerank.exposure.least names {unknown[0]!r}, which is no {exposure.group} of any item: expected one "
            f"of {', '.join(sorted(group_names)[:10]) or 'none, as no item has one'}"
        )
    least = tuple(exposure.least.get(name, 0.0) for name in group_names)
    return RerankPolicy(settings, steps_of(settings), least, seed, day)


def steps_of(settings: Rerank) -> tuple[Step, ...]:
    """The steps that are on, in the order in which they are taken."""
    is_on: Mapping[Step, bool] = {
        "freshness": settings.freshness.weight > 0.0,
        "diversity": settings.diversity.kind != "none" and settings.diversity.relevance < 1.0,
        "category_cap": settings.category_cap > 0,
        "exposure": any(share > 0.0 for share in settings.exposure.least.values()),
        "exploration": settings.exploration.epsilon > 0.0,
    }
    return tuple(step for step, on in is_on.items() if on)


def rerank(scored: Scored, items: ItemFacts, policy: RerankPolicy, n: int) -> Ranked:
    """Lists of n out of the best `policy.pool(n)` candidates; without a step the first n, at no cost.

    Scores of two lists cannot be compared, so a step sees *relevance*: the score's place between the worst of the user's
    pool, 0, and the best, 1; all 1 where they are equal. Freshness gives each candidate `weight * 0.5 ** (age / half-life)`
    more, and nothing to one of unknown age; the sum is divided by 1 + weight, so that it stays in [0, 1]. Then `diversity`
    picks n, the others follow by relevance, and `constrained.fill` makes the list of that order, with caps, shares and
    exploration. O(n C d) a user with vectors, O(n C) without; beside the block it holds a few MiB.

    Raises:
        ValueError: diversity by vectors, and there are none.
    """
    if not policy.steps or not scored.items.shape[1]:
        return _cut(scored, np.broadcast_to(np.arange(n), (len(scored.items), n)))
    pool = scored.items[:, : policy.pool(n)]
    relevance = _relevance(scored.scores[:, : pool.shape[1]], pool >= 0)
    order = np.broadcast_to(np.arange(pool.shape[1]), pool.shape)
    if "freshness" in policy.steps:
        relevance = _freshened(relevance, _facts(items.age_days, pool, np.nan), policy)
        order = np.argsort(-relevance, axis=1, kind="stable")
    if "diversity" in policy.steps:
        order = _diversified(order, relevance, pool, items, policy, n)
    if not {"category_cap", "exposure", "exploration"} & set(policy.steps):
        return _cut(scored, np.where(np.take_along_axis(pool, order[:, :n], 1) >= 0, order[:, :n], -1), n)
    ordered = np.take_along_axis(pool, order, axis=1)
    picked, propensity = _filled(ordered, scored.user_idx, items, policy, n)
    places = np.where(picked >= 0, np.take_along_axis(order, np.maximum(picked, 0), axis=1), -1)
    return replace(_cut(scored, places), propensity=propensity)


def _cut(scored: Scored, places: npt.NDArray[Any], n: int | None = None) -> Ranked:
    """The lists that candidates at these places make, all of probability 1; what is missing up to n is filled up with -1."""
    width = places.shape[1] if n is None else n
    whole = np.full((len(places), width), -1, np.int32)
    whole[:, : places.shape[1]] = places
    if not scored.items.shape[1]:
        nothing = np.full(whole.shape, -1, np.int32)
        return Ranked(nothing, np.full(whole.shape, -np.inf, np.float32), np.ones(whole.shape), nothing)
    inside = np.clip(whole, 0, scored.items.shape[1] - 1)
    items = np.take_along_axis(scored.items, inside, axis=1)
    missing = (whole < 0) | (whole >= scored.items.shape[1]) | (items < 0)
    items[missing] = whole[missing] = -1
    scores = np.where(missing, np.float32(-np.inf), np.take_along_axis(scored.scores, inside, axis=1))
    return Ranked(items, scores.astype(np.float32, copy=False), np.ones(whole.shape), whole)


def _relevance(scores: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    """(U, C) in [0, 1], -inf where there is no candidate."""
    worst = np.where(there, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    best = np.where(there, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    spread = np.where(best > worst, best - worst, 1.0)
    found = np.where(best > worst, (np.where(there, scores, 0.0) - worst) / spread, 1.0)
    return np.where(there, found, -np.inf).astype(np.float32)


def _facts(of_item: npt.NDArray[Any], items: Ints, unknown: float) -> npt.NDArray[Any]:
    """What is known of items of any shape; -1 and items beyond the end are unknown."""
    inside = (items >= 0) & (items < len(of_item))
    if not len(of_item):
        return np.full(items.shape, unknown, of_item.dtype)
    return np.where(inside, of_item[np.where(inside, items, 0)], np.asarray(unknown, of_item.dtype))


def _freshened(relevance: Floats, ages: Floats, policy: RerankPolicy) -> Floats:
    setting = policy.settings.freshness
    fresh = np.nan_to_num(0.5 ** (ages / setting.half_life_days), nan=0.0)
    fresher: Floats = ((relevance + setting.weight * fresh) / (1.0 + setting.weight)).astype(np.float32)
    return fresher


def _diversified(
    order: npt.NDArray[Any], relevance: Floats, pool: Ints, items: ItemFacts, policy: RerankPolicy, n: int
) -> npt.NDArray[Any]:
    """The order (U, C) with the picked in front."""
    setting = policy.settings.diversity
    pick, width = (mmr, 1) if setting.kind == "mmr" else (dpp, n)
    if setting.by == "vectors":
        if items.vectors is None:
            raise ValueError(
                "diversity by vectors, and the items have none: take recommend.rerank.diversity.by=category"
            )
        width = max(width, items.vectors.shape[1] + 1)
    values = np.take_along_axis(relevance, order, axis=1)
    reach = within_reach(values, n, setting.relevance) if setting.kind == "mmr" else pool.shape[1]
    values, ordered = values[:, :reach], np.take_along_axis(pool, order[:, :reach], axis=1)
    after = np.empty(pool.shape, np.int64)
    wide = max(1, _CHUNK_FLOATS // max(1, reach * width))
    with _libraries().limit(limits=1, user_api="blas"):  # products of a user each are too small to be shared
        for start in range(0, len(pool), wide):
            rows = slice(start, start + wide)
            picked = pick(values[rows], _likeness(ordered[rows], items, setting.by), n, setting.relevance)
            after[rows] = np.take_along_axis(order[rows], _in_front(picked, pool.shape[1]), axis=1)
    return after


def _likeness(pool: Ints, items: ItemFacts, by: str) -> Likeness:
    if by == "category" or items.vectors is None:
        return ByCategory(_facts(items.category, pool, -1))
    vectors = items.vectors[np.clip(pool, 0, len(items.vectors) - 1)]
    vectors[(pool < 0) | (pool >= len(items.vectors))] = 0.0
    return ByVectors(vectors)


def _in_front(picked: Ints, width: int) -> npt.NDArray[Any]:
    """All of `width` places in an order (U, width) that has the picked ones in front, the others as they were."""
    last = width + picked.shape[1]
    kind = np.int16 if last < 1 << 15 else np.int64  # numpy sorts small integers in linear time
    keys = np.tile(np.arange(picked.shape[1], last, dtype=kind), (len(picked), 1))
    rows, places = np.nonzero(picked >= 0)
    keys[rows, picked[rows, places]] = places
    return np.argsort(keys, axis=1, kind="stable")


def _filled(ordered: Ints, user_idx: Ints, items: ItemFacts, policy: RerankPolicy, n: int) -> tuple[Ints, Doubles]:
    settings, steps = policy.settings, policy.steps
    least: tuple[float, ...] = ()
    groups = np.full(ordered.shape, -1, np.int32)
    in_places = settings.exposure.of == "places"
    if "exposure" in steps:
        minded = [code for code, share in enumerate(policy.least) if share > 0.0]
        least = tuple(policy.least[code] for code in minded)
        renumbered = np.full(len(policy.least) + 1, -1, np.int32)  # the last stands for no group: -1
        renumbered[minded] = np.arange(len(minded))
        groups = renumbered[_facts(items.group, ordered, -1)]
    limits = Limits(
        weights=np.ones(n) if in_places else exposure_weights(n),
        cap=settings.category_cap if "category_cap" in steps else 0,
        least=least,
        whole=in_places,
        epsilon=settings.exploration.epsilon if "exploration" in steps else 0.0,
        explored=min(n, settings.exploration.places),
    )
    category = _facts(items.category, ordered, -1)
    return fill(ordered >= 0, category, groups, limits, Dice(policy.seed, policy.day, user_idx))


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
