"""Where an item of a list comes from: as bits within, as names in the tables, and in words that a shop can show."""

from __future__ import annotations

from typing import Final

MODEL: Final = "model"
RETRIEVER: Final = "retriever"
CO_OCCURRENCE: Final = "co_occurrence"
RECENT_POPULAR: Final = "recent_popular"
NEW_ITEMS: Final = "new_items"
REPEAT: Final = "repeat"
POPULAR: Final = "popular"
POPULAR_SEGMENT: Final = "popular_segment"

# of `candidates.sources`: numbers that stand in tables never change
BITS: Final = {MODEL: 1, RETRIEVER: 2, CO_OCCURRENCE: 4, RECENT_POPULAR: 8, NEW_ITEMS: 16, REPEAT: 32, POPULAR: 64}

BECAUSE: Final = "because you had "  # followed by the title of the reason item
REASONS: Final = {
    MODEL: "predicted for this user",
    RETRIEVER: "like what this user had",
    CO_OCCURRENCE: "goes with what this user had",
    RECENT_POPULAR: "popular these days",
    NEW_ITEMS: "new",
    REPEAT: "had before, and likely again",
    POPULAR_SEGMENT: "popular with people like this user",
    POPULAR: "popular with everyone",
}


def words(reason_code: str, because: str | None = None) -> str:
    """A reason as a person reads it.

    Args:
        because: the title or id of `reason_item_id`, where there is one.

    >>> words("co_occurrence", "Whole Milk")
    'because you had Whole Milk'
    >>> words("popular")
    'popular with everyone'
    """
    return BECAUSE + because if reason_code == CO_OCCURRENCE and because else REASONS[reason_code]
