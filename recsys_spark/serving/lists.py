"""Lists out of a night: cut to size, with titles and reasons in words; for whom it has none, what is popular."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from recsys_spark.recommend.reasons import POPULAR
from recsys_spark.recommend.reasons import words as in_words
from recsys_spark.serving.answers import Product, Recommendations
from recsys_spark.serving.store import Entry, Item, Night


def lists_for(night: Night, user_ids: Sequence[str], n: int, exclude: Collection[str]) -> list[Recommendations]:
    """A list for each user, in order. One look-up for all of them; items come from a cache."""
    known = night.lists(set(user_ids))
    without = frozenset(exclude)
    there = night.items(without) if without else {}
    ignored = [item_id for item_id in dict.fromkeys(exclude) if item_id not in there]
    most_popular = popular(night, n, without) if len(known) < len(set(user_ids)) else []
    about = night.about
    of_night = {"variant": about.variant, "as_of_date": about.as_of_date, "model_version": about.model_version}
    return [
        Recommendations.model_validate(  # once for the whole list: by far quicker than once a place
            {
                "user_id": user_id,
                "fallback": user_id not in known,
                **of_night,
                "items": places(night, known.get(user_id, most_popular), n, without),
                "ignored": ignored,
            }
        )
        for user_id in user_ids
    ]


def product(item: Item) -> Product:
    """An item as it is answered."""
    return Product(**item._asdict())


def places(night: Night, entries: Sequence[Entry], n: int, without: Collection[str]) -> list[dict[str, Any]]:
    """The fields of `Recommended` for each place."""
    left = [entry for entry in entries if entry.item_id not in without][:n]
    named = {entry.item_id for entry in left} | {entry.reason_item_id for entry in left if entry.reason_item_id}
    titles = {item_id: item.title for item_id, item in night.items(named).items()}
    return [
        {
            "rank": rank,
            "item_id": entry.item_id,
            "title": titles.get(entry.item_id),
            "score": entry.score,
            "reason_code": entry.reason_code,
            "reason": _reason(entry, titles),
            "reason_item_id": entry.reason_item_id,
        }
        for rank, entry in enumerate(left, start=1)
    ]


def _reason(entry: Entry, titles: Mapping[str, str | None]) -> str:
    because = entry.reason_item_id
    return in_words(entry.reason_code, titles.get(because) or because if because else None)


def popular(night: Night, n: int, without: Collection[str]) -> list[Entry]:
    """What is popular, scored as `recommend_items` does: users of the item over those of the most popular one."""
    items = night.popular(n + len(without))
    most = max((item.users for item in items), default=0) or 1
    return [Entry(item.item_id, item.users / most, POPULAR, None) for item in items]
