"""Queries of the models that read a history and retrieve, from their weights: numpy alone, one user at a time.

The arithmetic is that of the Keras models of the same names as they score, in float32: `two_tower`, `softmax_dnn`, `sasrec`
and `gru4rec`. What they read of items is folded into one table, so that neither TensorFlow nor features of items are needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark.features.spec import NO_VALUE, FeatureSpec, codes_length
from recsys_spark.models.selection import Floats, Ints

# the logarithms of the weights of repeats have far to go, and Adam moves each by the learning rate a step
REPEAT_PACE: Final = 10.0
INPUTS: Final = "inputs"  # what is read of each item, (n_items, width)
_ITEMS_AT_A_TIME: Final = 4096
_LEAST: Final = 1e-30

Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Side:
    """The encoded features of one user: `codes` (S,) and `numbers` (D,)."""

    codes: Ints
    numbers: Floats


def weights_of(arrays: Weights) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a saved model under names that do not hang on how many models its process had made.

    >>> sorted(weights_of({"000 sas_rec_1/items": np.empty(0), "009 item_side/codes": np.empty(0)}))
    ['item_side/codes', 'items']
    """
    named: dict[str, npt.NDArray[Any]] = {}
    for name, array in arrays.items():
        path = re.sub(r"^\d+ ", "", name)
        named[path if re.match(r"(user|item)_side/", path) else path.partition("/")[2]] = array
    return named


def folded(settings: Mapping[str, Any], weights: Weights) -> dict[str, npt.NDArray[Any]]:
    """The weights that a query needs: what is read of items as one table, and nothing that has a row a user. O(items).

    Args:
        settings: of the model's constructor.
        weights: as `weights_of` names them.
    """
    own = np.asarray(weights["items"], np.float32) * weights.get("known", np.float32(1.0))
    specs = specs_of(settings, "item")
    if specs:
        codes, numbers = weights["item_side/codes"], weights["item_side/numbers"]
        for start in range(0, len(own), _ITEMS_AT_A_TIME):
            rows = slice(start, start + _ITEMS_AT_A_TIME)
            own[rows] += encoded(specs, _beside(weights, "item", specs), codes[rows], numbers[rows])
    left_out = re.compile(r"items$|known$|item_|user_side/|beside_item/")
    kept = {name: np.asarray(array, np.float32) for name, array in weights.items() if not left_out.match(name)}
    return {INPUTS: own, **kept}


def specs_of(settings: Mapping[str, Any], of: str) -> list[FeatureSpec]:
    """The declared features of users, items or the context that a model takes."""
    return [spec if isinstance(spec, FeatureSpec) else FeatureSpec(**spec) for spec in settings.get(f"{of}_side") or ()]


def encoded(specs: Sequence[FeatureSpec], weights: Sequence[Floats], codes: Ints, numbers: Floats) -> Floats:
    """The mean of the vectors of the features that are there: (n, S) and (n, D) -> (n, width); see `side.FeatureEncoder`."""
    total, present = np.zeros((len(codes), weights[0].shape[1]), np.float32), np.zeros((len(codes), 1), np.float32)
    for spec, table in zip(specs, weights, strict=True):
        own = slice(spec.first, spec.first + spec.length)
        vector, there = _coded(codes[:, own], table) if spec.in_codes else _numbered(numbers[:, own], table, spec.kind)
        total += vector * there
        present += there
    mean: Floats = total / np.maximum(present, 1.0)
    return mean


class Forward:
    """Queries of one model.

    Args:
        name: of the model.
        settings: of its constructor.
        weights: as `folded` makes them.

    Raises:
        ValueError: a model that has no such queries.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], weights: Weights) -> None:
        if name not in EXPORTED:
            raise ValueError(f"{name} retrieves by no history, expected one of {', '.join(EXPORTED)}")
        self._name, self._settings, self._weights = name, settings, weights
        self._length, self._inputs = int(settings["length"]), weights[INPUTS]
        self.n_items, self.width = self._inputs.shape
        self._user, self._context = specs_of(settings, "user"), specs_of(settings, "context")
        self._slots = codes_length(self._context, "context")
        self._ages = np.exp(REPEAT_PACE * weights["repeat_ages"]) if "repeat_ages" in weights else None
        names = [name for name in weights if name.startswith("layer_normalization")]
        self._norms = sorted({name.rpartition("/")[0] for name in names}, key=_number)
        self._cells = sorted({name.rpartition("/")[0] for name in weights if "gru_cell/" in name}, key=_number)

    def query(self, items: Ints, user: Side | None = None, context: Ints | None = None) -> Floats:
        """What comes after some items: (k,) of them, oldest first -> (width,).

        Args:
            user: None where the model does not know the user, or takes no features of users.
            context: (W,), packed as `features.contexts` does; None where none is given.
        """
        latest = items[-self._length :]
        if self._name in ("two_tower", "softmax_dnn"):
            bag = self._inputs[latest].mean(axis=0) if len(latest) else np.zeros(self.width, np.float32)
            query = self._tower(np.concatenate([bag, *self._beside_user(user), *self._beside_context(context)]))
            if self._name == "two_tower":
                query = query / np.sqrt(np.sum(query * query) + 1e-12) / self._settings["temperature"]
        else:
            encode = self._attended if self._name == "sasrec" else self._recurrent
            query = sum(self._beside_context(context), encode(latest))
        return np.asarray(query, np.float32)

    def own(self, items: Ints, dots: Floats) -> tuple[Ints, Floats]:
        """With `repeats`, the items that may be copied from a history (k,), and their scores in the place of `dots`
        (n_items,), as `models.repeats` joins them; no items without."""
        latest = items[-self._length :]
        if self._ages is None or not len(latest):
            return np.empty(0, np.int32), np.empty(0, np.float32)
        different, places = np.unique(latest, return_inverse=True)
        taken = np.bincount(places, weights=self._ages[: len(latest)][::-1])
        scores = np.logaddexp(dots[different].astype(np.float64), np.log(np.maximum(taken, _LEAST)))
        return different.astype(np.int32), scores.astype(np.float32)

    def _beside_user(self, user: Side | None) -> list[Floats]:
        if not self._user:
            return []
        if user is None:
            return [np.zeros(self.width, np.float32)]
        tables = _beside(self._weights, "user", self._user)
        return [encoded(self._user, tables, user.codes[None], user.numbers[None])[0]]

    def _beside_context(self, context: Ints | None) -> list[Floats]:
        if not self._context:
            return []
        if context is None or (context == NO_VALUE).all():
            return [np.zeros(self.width, np.float32)]
        codes, numbers = context[: self._slots], context[self._slots :].view(np.float32)
        return [encoded(self._context, _beside(self._weights, "context", self._context), codes[None], numbers[None])[0]]

    def _tower(self, x: Floats) -> Floats:
        layer = 0
        while (kernel := self._weights.get(f"query_kernel_{layer}")) is not None:
            x = np.maximum(x, 0.0) if layer else x
            x = x @ kernel + self._weights[f"query_bias_{layer}"]
            layer += 1
        return x

    def _attended(self, items: Ints) -> Any:
        """SASRec's vector of the last place; without padding, which no place looks at."""
        w, k = self._weights, len(items)
        heads, size = int(self._settings["heads"]), self.width // int(self._settings["heads"])
        x = self._inputs[items] * np.float32(np.sqrt(self.width)) + w["places"][self._length - k :]
        later = np.triu(np.ones((k, k), bool), 1)
        for block in range(int(self._settings["blocks"])):
            mixed = (self._normed(x, 2 * block) @ w[f"mix_{block}"]).reshape(k, 3, heads, size)
            queries, keys, values = mixed.transpose(1, 2, 0, 3)
            logits = queries @ keys.transpose(0, 2, 1) / np.float32(np.sqrt(size))
            joined = (_softmax(np.where(later, -np.inf, logits)) @ values).transpose(1, 0, 2).reshape(k, self.width)
            x = x + joined @ w[f"out_{block}"]
            inner = np.maximum(self._normed(x, 2 * block + 1) @ w[f"up_{block}"] + w[f"up_bias_{block}"], 0.0)
            x = x + inner @ w[f"down_{block}"] + w[f"down_bias_{block}"]
        return self._normed(x[-1:], len(self._norms) - 1)[0]

    def _normed(self, x: Floats, place: int) -> Floats:
        gamma, beta = (self._weights[f"{self._norms[place]}/{part}"] for part in ("gamma", "beta"))
        centred = x - x.mean(axis=-1, keepdims=True)
        normed: Floats = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-6) * gamma + beta
        return normed

    def _recurrent(self, items: Ints) -> Any:
        """GRU4Rec's state after the last item (Cho et al. 2014; the reset gate after the product, as cuDNN has it)."""
        x = self._inputs[items]
        for cell in self._cells:
            kernel, recurrent, bias = (
                self._weights[f"{cell}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
            )
            read, units = x @ kernel + bias[0], len(recurrent)
            state, states = np.zeros(units, np.float32), np.empty((len(x), units), np.float32)
            for place, given in enumerate(read):
                kept = state @ recurrent + bias[1]
                gates = _sigmoid(given[: 2 * units] + kept[: 2 * units])
                fresh = np.tanh(given[2 * units :] + gates[units:] * kept[2 * units :])
                state = states[place] = gates[:units] * state + (1.0 - gates[:units]) * fresh
            x = states
        return x[-1] @ self._weights["back"] if "back" in self._weights else x[-1]


EXPORTED: Final = ("two_tower", "softmax_dnn", "sasrec", "gru4rec")


def _beside(weights: Weights, of: str, specs: Sequence[FeatureSpec]) -> list[Floats]:
    return [weights[f"beside_{of}/{spec.name}"] for spec in specs]


def _coded(codes: Ints, table: Floats) -> tuple[Floats, Floats]:
    there = (codes >= 0).astype(np.float32)[..., np.newaxis]
    summed = (table[np.maximum(codes, 0)] * there).sum(axis=1)
    return summed / np.maximum(there.sum(axis=1), 1.0), (codes >= 0).any(axis=1, keepdims=True).astype(np.float32)


def _numbered(numbers: Floats, table: Floats, kind: str) -> tuple[Floats, Floats]:
    there = (~np.isnan(numbers).any(axis=1, keepdims=True)).astype(np.float32)
    values = np.nan_to_num(numbers, nan=0.0)
    if kind == "dense":
        return there * values * table[:1] + (1.0 - there) * table[1:], np.ones_like(there)
    return values @ table, there


def _number(name: str) -> int:
    """That at the end of a layer's name, 0 where there is none: `layer_normalization_3`, `gru_1/gru_cell`."""
    found = re.search(r"_(\d+)(/|$)", name)
    return int(found[1]) if found else 0


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return share


def _sigmoid(x: Floats) -> Floats:
    halves: Floats = 0.5 + 0.5 * np.tanh(0.5 * x)
    return halves
