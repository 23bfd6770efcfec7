"""What is known of made users and items: attributes that hang together with hidden tastes.

An item's category is its strongest factor. Gender and age lean on the user's first two factors, with noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from recsys_spark.events.made_events import home_stores, item_prices
from recsys_spark.events.made_population import Taste, World
from recsys_spark.events.made_time import Integers, first_day, midnights
from recsys_spark.hashing import below, uniform

BLOCK_MEMBERS = 16_384

_CATEGORIES = (
    *("Coffee", "Tea", "Bread", "Cheese", "Fruit", "Pasta", "Snacks", "Chocolate"),
    *("Soap", "Candles", "Toys", "Books", "Socks", "Lamps", "Paint", "Garden"),
)
_BRANDS = (
    *("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel"),
    *("Ivy", "Juniper", "Larch", "Maple", "Oak", "Pine", "Rowan", "Spruce"),
)
_GENDERS = ("M", "F")
_AGES = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_OLDEST_YEARS = 10  # items that were there on the first day are at most so old

_BRAND, _YEAR, _GENDER, _AGE = 11, 12, 13, 14  # traits

Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class UserBlock:
    """Attributes of some users, in columns of one length; `since` in seconds from 1970."""

    number: Integers
    gender: Names
    age: Names
    store: Integers
    since: Integers


@dataclass(frozen=True)
class ItemBlock:
    """Attributes of some items, likewise."""

    number: Integers
    category: Names
    brand: Names
    price: npt.NDArray[np.float64]
    year: Integers
    since: Integers


def member_blocks(size: int) -> int:
    """How many blocks hold so many users or items."""
    return -(-size // BLOCK_MEMBERS)


def make_users(world: World, block: int) -> UserBlock:
    """The block-th block of users, by rank."""
    ranks, users = _ranks(block, world.users.size), world.users
    taste = users.tastes(ranks)
    gender = (_leaning(world, _GENDER, ranks, taste, 0) > 0).astype(np.int64)
    age = np.clip(2.5 + 1.5 * _leaning(world, _AGE, ranks, taste, 1), 0, len(_AGES) - 1).astype(np.int64)
    return UserBlock(
        number=users.numbers(ranks),
        gender=np.array(_GENDERS)[gender],
        age=np.array(_AGES)[age],
        store=home_stores(world, ranks),
        since=midnights(world.made, users.first_days(ranks)),
    )


def make_items(world: World, block: int) -> ItemBlock:
    """The block-th block of items, by rank."""
    ranks, items = _ranks(block, world.items.size), world.items
    since = items.first_days(ranks)
    older = 1 + below(items.private(_YEAR, ranks), _OLDEST_YEARS)
    start = first_day(world.made)
    launched = np.array([(start + timedelta(days=day)).year for day in range(world.made.days)])
    return ItemBlock(
        number=items.numbers(ranks),
        category=_category_names(world.made.factors)[items.tastes(ranks).argmax(axis=1)],
        brand=np.array(_BRANDS)[below(items.private(_BRAND, ranks), len(_BRANDS))],
        price=item_prices(world, ranks),
        year=np.where(since > 0, launched[since], start.year - older),
        since=midnights(world.made, since),
    )


def _ranks(block: int, size: int) -> Integers:
    return np.arange(block * BLOCK_MEMBERS, min((block + 1) * BLOCK_MEMBERS, size), dtype=np.int64)


def _leaning(world: World, trait: int, ranks: Integers, taste: Taste, factor: int) -> npt.NDArray[np.float64]:
    """A factor (the last, where there are fewer) plus as much noise, with variance 1."""
    noise = (uniform(world.users.private(trait, ranks)) - 0.5) * np.sqrt(12.0)
    return np.asarray((taste[:, min(factor, taste.shape[1] - 1)] + noise) / np.sqrt(2.0))


def _category_names(factors: int) -> Names:
    def names() -> Iterator[str]:
        for factor in range(factors):
            again = factor // len(_CATEGORIES)
            yield _CATEGORIES[factor % len(_CATEGORIES)] + (f" {again + 1}" if again else "")

    return np.array(list(names()))
