"""The two halves of NeuMF, as training and scoring pass them about."""

from __future__ import annotations

from typing import Any, NamedTuple


class Halves(NamedTuple):
    """An array or tensor for each half of the network; None for a half that the model does not have."""

    gmf: Any
    mlp: Any
