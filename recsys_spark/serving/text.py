"""Words of a title, and of what people type to find it: the same for every store."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LAST: Final = "\U0010ffff"  # no character: after the start of a text it is beyond every text that begins so
_WORD: Final = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Runs of letters and digits, without accents and case.

    >>> words("Café No. 7: L'ÉTÉ")
    ['cafe', 'no', '7', 'l', 'ete']
    """
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return _WORD.findall(plain.casefold())
