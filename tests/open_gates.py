"""Every gate without bounds, for tests of small data that are about something else."""

from __future__ import annotations

from typing import get_args

from recsys_spark.publish_settings import GateName

ANYTHING = "{low: null, high: null}"
OPEN_GATES = {f"publish.gates.{name}": ANYTHING for name in get_args(GateName)}
