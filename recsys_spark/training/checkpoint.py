"""What a killed training goes on from: its last whole epoch, and the best weights so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark import storage
from recsys_spark.training.job import Epoch, quality

_LAST, _BEST = "last-{}", "best"
_EPOCH = "epoch"
CATALOGUE: Final = "catalogue"


@dataclasses.dataclass
class Progress:
    """Where a training stands: epochs done, and which was best."""

    history: list[Epoch] = dataclasses.field(default_factory=list)
    best_epoch: int = 0

    @property
    def epochs(self) -> int:
        return len(self.history)

    def add(self, epoch: Epoch) -> bool:
        """Note an epoch; whether it is the best so far. Without validation the latest is."""
        self.history.append(epoch)
        score, best = quality(epoch), quality(self.history[self.best_epoch - 1]) if self.best_epoch else None
        if score is None or best is None or score > best:
            self.best_epoch = epoch.number
            return True
        return False


class Checkpoints:
    """The folder of one training's checkpoints, written by rank 0 alone.

    Two folders for the last epoch are written in turn, so that a kill in mid-write leaves the one before it.
    """

    def __init__(self, location: str, identity: str) -> None:
        self._location, self._identity = location, identity

    @property
    def best(self) -> str:
        return storage.join(self._location, _BEST)

    def save(self, progress: Progress, variables: Sequence[Any], weights: Sequence[Any], is_best: bool) -> None:
        """Keep the epoch; O(parameters)."""
        if is_best:
            storage.save_folder(self.best, self._manifest(progress), _named(weights))
        place = storage.join(self._location, _LAST.format(progress.epochs % 2))
        storage.save_folder(place, self._manifest(progress), _named(variables))

    def resume(self, variables: Sequence[Any]) -> Progress:
        """Set the variables to those of the last whole epoch, if this very training left one."""
        found = [
            (manifest[_EPOCH], place, manifest)
            for place in (storage.join(self._location, _LAST.format(turn)) for turn in (0, 1))
            if storage.has_folder(place) and (manifest := storage.load_manifest(place))["identity"] == self._identity
        ]
        if not found:
            storage.delete_folder(self._location)
            return Progress()
        _, place, manifest = max(found, key=lambda each: each[0])
        set_weights(variables, storage.load_arrays(place))
        return Progress([Epoch(**epoch) for epoch in manifest["history"]], manifest["best_epoch"])

    def save_catalogue(self, model: Any) -> None:
        """Put the item vectors of the best weights beside them, for scorers that retrieve; the model is left with those.

        O(items): once a training, so that no worker that scores has to.
        """
        arrays = {name: np.array(array) for name, array in storage.load_arrays(self.best).items()}
        set_weights(model.weights, arrays)
        manifest = {key: value for key, value in storage.load_manifest(self.best).items() if key != "arrays"}
        storage.save_folder(self.best, manifest, {**arrays, CATALOGUE: np.asarray(model.catalogue())})

    def _manifest(self, progress: Progress) -> dict[str, Any]:
        return {
            "identity": self._identity,
            _EPOCH: progress.epochs,
            "best_epoch": progress.best_epoch,
            "history": [dataclasses.asdict(epoch) for epoch in progress.history],
        }


def set_weights(variables: Sequence[Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Assign arrays, in the order they were saved in, to variables.

    Raises:
        ValueError: there are more or fewer of them, or a shape differs.
    """
    arrays = {name: array for name, array in arrays.items() if name != CATALOGUE}
    if len(variables) != len(arrays):
        raise ValueError(f"{len(arrays)} arrays were saved, the model has {len(variables)} variables")
    for variable, (name, array) in zip(variables, arrays.items(), strict=True):
        if tuple(variable.shape) != array.shape:
            raise ValueError(f"array {name} has shape {array.shape}, its variable {tuple(variable.shape)}")
        variable.assign(array)


def _named(variables: Sequence[Any]) -> dict[str, npt.NDArray[Any]]:
    return {
        f"{place:03d} {getattr(variable, 'path', variable.name)}": np.asarray(variable)
        for place, variable in enumerate(variables)
    }
