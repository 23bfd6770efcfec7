"""Put Delta's jars beside pyspark's own, once, so that no session resolves anything at start-up.

Resolved through Ivy by a throw-away session, into a folder of its own (given as the only argument): a cache
half written by a killed run is never met again.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import pyspark
from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

JARS = Path(pyspark.__file__).parent / "jars"
# A Java from a wheel knows only the public certificates; the system's store also holds a company's own.
SYSTEM_TRUST_STORES = (Path("/etc/ssl/certs/java/cacerts"), Path("/etc/pki/java/cacerts"))


def main(ivy: Path) -> int:
    """Add the jars of the installed delta-spark where they are missing; remove those of another version."""
    wanted = version("delta-spark")
    if all((JARS / f"{name}-{wanted}.jar").exists() for name in ("delta-spark_2.12", "delta-storage")):
        print(f"Delta {wanted} is in place")
        return 0
    for stale in JARS.glob("delta-*.jar"):
        stale.unlink()
    for jar in resolve(ivy):
        target = JARS / jar.name.split("_", 1)[1]  # Ivy writes GROUP_ARTIFACT-VERSION.jar
        if not target.exists():
            half = target.with_suffix(".half")
            shutil.copyfile(jar, half)
            half.replace(target)
            print(f"added {target.name}")
    shutil.rmtree(ivy)
    return 0


def resolve(ivy: Path) -> list[Path]:
    """Delta's jars and what they need, downloaded into `ivy`."""
    shutil.rmtree(ivy, ignore_errors=True)
    os.environ["SPARK_CONF_DIR"] = str(ivy)
    os.environ["SPARK_SUBMIT_OPTS"] = " ".join([*_network_options(), os.environ.get("SPARK_SUBMIT_OPTS", "")])
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.jars.ivy", str(ivy))
    configure_spark_with_delta_pip(builder).getOrCreate().stop()
    return sorted((ivy / "jars").glob("*.jar"))


def _network_options() -> list[str]:
    """What Java must be told of the network that every other program reads from the environment."""
    options = []
    store = next((store for store in SYSTEM_TRUST_STORES if store.exists()), None)
    if store:
        options.append(f"-Djavax.net.ssl.trustStore={store}")
    proxy = urlsplit(os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or "")
    if proxy.hostname:
        options += [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 80}"]
    return options


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
