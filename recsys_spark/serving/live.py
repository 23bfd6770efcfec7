"""Answers made on the spot: whom they are for, what the live model says, and what is popular where it cannot say anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from recsys_spark.models.selection import Ints
from recsys_spark.recommend.reasons import MODEL, REPEAT
from recsys_spark.serving.answers import Recommendations
from recsys_spark.serving.history import History, history_of
from recsys_spark.serving.lists import places, popular
from recsys_spark.serving.live_answers import (
    Alike,
    LiveList,
    LiveLists,
    Pairs,
    PairsAsked,
    Similar,
    Taken,
    Taking,
    WhomToAnswer,
)
from recsys_spark.serving.live_context import Value
from recsys_spark.serving.live_model import Asked, LiveModel
from recsys_spark.serving.store import Entry, Night

NO_MODEL: Final = "the live night has no model that answers on the spot: set retriever.name, train it, and publish"


class NoLiveModelError(Exception):
    """The night has only published lists."""


class UnknownContextError(Exception):
    """The model takes no such context. `names`: which; `known`: what it takes."""

    def __init__(self, names: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"the model knows no context {', '.join(names)}; "
            + (f"it knows {', '.join(known)}" if known else "it takes none")
        )
        self.names, self.known = names, known


class Subject(NamedTuple):
    """Whom a request is about, in the model's terms; `ignored`: ids of no item."""

    asked: Asked
    ignored: list[str]


def model_of(night: Night) -> LiveModel:
    """The model of a night.

    Raises:
        NoLiveModelError: it has none.
    """
    if night.model is None:
        raise NoLiveModelError(NO_MODEL)
    return night.model


def live_list(night: Night, whom: WhomToAnswer, n: int, exclude: Sequence[str]) -> LiveList:
    """One list.

    Raises:
        NoLiveModelError, UnknownContextError: see there.
    """
    model = model_of(night)
    found = night.indices({*whom.items, *exclude})
    asked, ignored = _subject(night, model, whom, found, exclude)
    if not model.knows(asked):
        return _list(night, whom.user_id, popular(night, n, frozenset(exclude)), n, exclude, ignored, fallback=True)
    items, scores = model.top(asked, n, _known(exclude, found))
    told = night.numbered(items.tolist())
    had = set(() if model.exclude_seen else model.had(asked).tolist())
    entries = [
        Entry(told[item].item_id, score, REPEAT if item in had else MODEL, told[item].item_id if item in had else None)
        for item, score in zip(items.tolist(), scores.tolist(), strict=True)
        if item in told
    ]
    return _list(night, whom.user_id, entries, n, exclude, ignored, fallback=False)


def rescored(night: Night, user_id: str, given: Sequence[str], n: int, exclude: Sequence[str]) -> Recommendations:
    """One user's list made anew in a context, in the form of a published one; raises as `live_list`.

    Args:
        given: `name:value` each.
    """
    context: dict[str, Value] = {name: value for name, _, value in (one.partition(":") for one in given)}
    answer = live_list(night, WhomToAnswer(user_id=user_id, context=context), n, exclude)
    return Recommendations.model_validate(answer.model_dump())


def live_lists(night: Night, requests: Sequence[WhomToAnswer], n: int, exclude: Sequence[str]) -> LiveLists:
    """A list for each request, in order; raises as `live_list`."""
    return LiveLists(lists=[live_list(night, whom, n, exclude) for whom in requests])


def scored(night: Night, asked: PairsAsked) -> Pairs:
    """The scores of certain items; raises as `live_list`."""
    model = model_of(night)
    found = night.indices({*asked.items, *asked.candidates})
    subject, ignored = _subject(night, model, asked, found, asked.candidates)
    candidates = list(dict.fromkeys(asked.candidates))
    if not model.knows(subject):
        items = night.items(found)
        most = max((item.users for item in night.popular(1)), default=0) or 1
        scores = [{"item_id": one, "score": items[one].users / most} for one in candidates if one in items]
        return Pairs.model_validate(
            {"scores": scores, "model_version": model.model_version, "fallback": True, "ignored": ignored}
        )
    known = {one: found[one] for one in candidates if found.get(one, model.n_items) < model.n_items}
    newer = [one for one in candidates if one in found and one not in known]
    of_items = model.scores(subject)
    scores = [{"item_id": one, "score": float(of_items[index])} for one, index in known.items()]
    told = {"scores": scores, "model_version": model.model_version, "fallback": False, "ignored": [*ignored, *newer]}
    return Pairs.model_validate(told)


def similar(night: Night, item_id: str, n: int) -> Similar | None:
    """The nearest items; None where the model does not know the item.

    Raises:
        NoLiveModelError: see there.
    """
    model = model_of(night)
    index = night.indices([item_id]).get(item_id, model.n_items)
    if index >= model.n_items:
        return None
    items, scores = model.similar(index, n)
    told = night.numbered(items.tolist())
    near = [(told[item], score) for item, score in zip(items.tolist(), scores.tolist(), strict=True) if item in told]
    alike = [
        Alike(rank=rank, item_id=item.item_id, title=item.title, category=item.category, score=score)
        for rank, (item, score) in enumerate(near, start=1)
    ]
    return Similar(item_id=item_id, model_version=model.model_version, items=alike)


def taking(night: Night, user_id: str, n: int) -> Taking | None:
    """What a user had last; None of whom nothing is kept."""
    history = _history(night, user_id)
    if history is None:
        return None
    latest = history.newest_first(n)
    told = night.numbered({item for item, _ in latest})
    items = [
        Taken(item_id=told[item].item_id, title=told[item].title, category=told[item].category, day=day)
        for item, day in latest
        if item in told
    ]
    return Taking(user_id=user_id, items=items)


def _subject(
    night: Night, model: LiveModel, whom: WhomToAnswer, found: Mapping[str, int], others: Collection[str]
) -> Subject:
    """Whom a request is about; of its ids and `others`, those that were not found are ignored."""
    context: dict[str, Value] = dict(whom.context)
    unknown = [name for name in context if name not in model.context.sources]
    if unknown:
        raise UnknownContextError(unknown, model.context.sources)
    history = None if whom.user_id is None else _history(night, whom.user_id)
    ignored = [one for one in dict.fromkeys([*whom.items, *others]) if one not in found]
    return Subject(Asked(_known(whom.items, found), history, context), ignored)


def _history(night: Night, user_id: str) -> History | None:
    text = night.history(user_id)
    return None if text is None else history_of(text)


def _known(item_ids: Sequence[str], found: Mapping[str, int]) -> Ints:
    return np.array([found[one] for one in item_ids if one in found], np.int32)


def _list(
    night: Night,
    user_id: str | None,
    entries: Sequence[Entry],
    n: int,
    exclude: Collection[str],
    ignored: Sequence[str],
    fallback: bool,
) -> LiveList:
    about = night.about
    version = about.model_version if fallback or night.model is None else night.model.model_version
    told: dict[str, Any] = {
        "user_id": user_id,
        "variant": about.variant,
        "as_of_date": about.as_of_date,
        "model_version": version,
        "fallback": fallback,
        "items": places(night, entries, n, frozenset(exclude)),
        "ignored": list(ignored),
    }
    return LiveList.model_validate(told)
