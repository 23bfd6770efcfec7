"""Days as arguments name them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, date, datetime, timedelta


def day(text: str) -> date:
    """`2024-02-29` as a date, and `yesterday` as the day before today in UTC, for schedulers that cannot reckon.

    Raises:
        ArgumentTypeError: it is none.
    """
    if text == "yesterday":
        return datetime.now(UTC).date() - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date, expected YYYY-MM-DD or yesterday") from None
