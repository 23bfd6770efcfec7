"""Horovod, all of it: start the ranks, pin their devices, broadcast, average, agree. Nothing else imports it.

A `Ranks` is what a training loop needs of its fellows; `OneRank` is the same for a training in this process, where every
exchange is with oneself. Gradients are averaged by hand (`average`), since Horovod's own optimizer predates Keras 3.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO, TypeVar

import cloudpickle
import numpy as np
import numpy.typing as npt

from recsys_spark.errors import TrainingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Result = TypeVar("Result")

_PREFIX: Final = re.compile(r"^\[\d+\]<std(?:out|err)>:", re.MULTILINE)
# what the environment says of the machine it is on, which is not where the ranks run
_OF_A_MACHINE: Final = re.compile(
    r"(?:HOME|HOSTNAME|JAVA_HOME|LD_LIBRARY_PATH|OLDPWD|PATH|PWD|PYTHONHOME|PYTHONPATH|TE?MP|TMPDIR|VIRTUAL_ENV)"
    r"|(?:PYSPARK|SPARK)_\w+"
)


class Ranks(Protocol):
    """The processes that train one model together, seen from one of them."""

    rank: int
    size: int

    def average(self, gradients: Sequence[Any]) -> list[Any]:
        """The mean over ranks of each gradient, dense tensors and IndexedSlices alike (graph op)."""

    def broadcast(self, variables: Sequence[Any]) -> None:
        """Set every rank's variables to those of rank 0."""

    def share(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""

    def total(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The sum over ranks, element by element."""

    def gathered(self, value: int) -> list[int]:
        """Every rank's value, by rank."""


class OneRank:
    """A training in this process alone."""

    rank = 0
    size = 1

    def average(self, gradients: Sequence[Any]) -> list[Any]:
        return list(gradients)

    def broadcast(self, variables: Sequence[Any]) -> None:
        pass

    def share(self, value: Any) -> Any:
        return value

    def total(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return values

    def gathered(self, value: int) -> list[int]:
        return [value]


class HorovodRanks:
    """This process as one of Horovod's; `hvd.init()` has run."""

    def __init__(self, hvd: Any) -> None:
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()

    def average(self, gradients: Sequence[Any]) -> list[Any]:
        import tensorflow as tf

        dense = [place for place, gradient in enumerate(gradients) if not isinstance(gradient, tf.IndexedSlices)]
        averaged = list(gradients)
        for place, mean in zip(dense, self._hvd.grouped_allreduce([gradients[p] for p in dense]), strict=True):
            averaged[place] = mean
        for place, gradient in enumerate(gradients):
            if isinstance(gradient, tf.IndexedSlices):
                averaged[place] = self._hvd.allreduce(gradient)
        return averaged

    def broadcast(self, variables: Sequence[Any]) -> None:
        self._hvd.broadcast_variables(variables, root_rank=0)

    def share(self, value: Any) -> Any:
        return self._hvd.broadcast_object(value, root_rank=0)

    def total(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        import tensorflow as tf

        summed: npt.NDArray[np.float64] = self._hvd.allreduce(tf.constant(values), op=self._hvd.Sum).numpy()
        return summed

    def gathered(self, value: int) -> list[int]:
        return [int(each) for each in self._hvd.allgather_object(value)]


def launch(spark: SparkSession, ranks: int, train: Callable[[Ranks], Result], threads: int) -> Result:
    """Run `train` on every rank and return what rank 0 returns.

    One rank runs in this process; more run on the executors, one task each, through `horovod.spark.run`, with the Python
    that Spark's workers have. `train` and its result are pickled, and that Python must have this package, or
    `--py-files` bring it.

    Raises:
        TrainingError: the ranks could not be started, or one of them died.
    """
    if ranks == 1:
        _set_up_device(local_rank=0, local_size=1, threads=threads)
        return train(OneRank())
    import horovod.spark

    try:
        results: list[Result] = horovod.spark.run(
            _with_shipped_files(spark, partial(_rank_main, train, threads)),
            num_proc=ranks,
            verbose=0,
            executable=spark.sparkContext.pythonExec,
            env=_environment(os.environ),
            stdout=_WithoutPrefix(sys.stdout),
            stderr=_WithoutPrefix(sys.stderr),
        )
    except Exception as error:
        why = " ".join(str(error).split())
        raise TrainingError(
            f"training on {ranks} ranks ended early, the last whole epoch is kept: {why} Run the job again to go on "
            "from there; if it fails again, look at the executors' logs, or train with --set training.ranks=1"
        ) from error
    return results[0]


def _with_shipped_files(spark: SparkSession, main: Callable[[], Result]) -> Callable[[], Result]:
    """`main` for a rank that first looks where `--py-files` are: Spark tells its own workers alone.

    The function returned is pickled by value and holds `main` as bytes, since the rank may not know this package before.
    """
    from pyspark import SparkFiles

    pickled: bytes = cloudpickle.dumps(main)
    names = tuple(spark.sparkContext._python_includes or ())
    of_driver = (
        SparkFiles.getRootDirectory()
    )  # in local mode the ranks' too; elsewhere theirs is where they are started

    def start() -> Result:
        for folder in (os.getcwd(), of_driver):
            sys.path[1:1] = [path for name in ("", *names) if os.path.exists(path := os.path.join(folder, name))]
        result: Result = cloudpickle.loads(pickled)()
        return result

    return start


def _rank_main(train: Callable[[Ranks], Result], threads: int) -> Result:
    import horovod.tensorflow as hvd

    hvd.init()
    _set_up_device(hvd.local_rank(), hvd.local_size(), threads)
    try:
        return train(HorovodRanks(hvd))
    finally:
        hvd.shutdown()


def _set_up_device(local_rank: int, local_size: int, threads: int) -> None:
    """One GPU a rank where there are any, by its rank on the machine; else a fair share of the cores."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    try:
        if gpus:
            tf.config.set_visible_devices(gpus[local_rank % len(gpus)], "GPU")
            tf.config.experimental.set_memory_growth(gpus[local_rank % len(gpus)], True)
        fair = max(1, len(os.sched_getaffinity(0)) // local_size)
        if local_size > 1 and not gpus:
            _keep_to_cores(sorted(os.sched_getaffinity(0))[local_rank * fair : (local_rank + 1) * fair])
        # a step's operations are short: running them beside each other gains more than splitting each
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(threads or fair)
    except RuntimeError:
        pass  # TensorFlow has been used in this process before: its threads and devices stay as they are


def _keep_to_cores(cores: Sequence[int]) -> None:
    """Bind this process to cores of its own: ranks that wander between cores wait for each other in every step."""
    for thread in os.listdir("/proc/self/task") if cores else ():
        os.sched_setaffinity(int(thread), cores)


class _WithoutPrefix:
    """A stream without the `[rank]<stdout>:` that Horovod puts before each line; only rank 0 speaks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_PREFIX.sub("", text))

    def flush(self) -> None:
        self._stream.flush()


def _environment(of_driver: Mapping[str, str]) -> dict[str, str]:
    """What of the driver's environment the ranks get over their own (credentials, Horovod's settings), TensorFlow quiet."""
    told = {name: value for name, value in of_driver.items() if not _OF_A_MACHINE.fullmatch(name)}
    return {"TF_CPP_MIN_LOG_LEVEL": "2"} | told
