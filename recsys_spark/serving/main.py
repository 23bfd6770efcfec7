"""The command `recsys-serve`: the store below a root over HTTP, until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recsys_spark import log
from recsys_spark.config import load_config
from recsys_spark.errors import EXIT_DONE, EXIT_USER_ERROR, UserError
from recsys_spark.roots import artifacts_of
from recsys_spark.settings import Config

if TYPE_CHECKING:
    from fastapi import FastAPI

_HERE = ("127.0.0.1", "::1", "localhost")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    arguments = _parser().parse_args(argv)
    log.use(arguments.log)
    try:
        config = load_config(arguments.config, arguments.settings)
        if arguments.new_key:
            return _add_key(config.serve.keys_file, arguments.new_key)
        app = _app(config, arguments.root or config.root)
    except UserError as error:
        log.say("serve", f"error: {error}", "error")
        return EXIT_USER_ERROR
    from recsys_spark.serving.server import run

    if not config.serve.keys_file and arguments.host not in _HERE:
        log.say("serve", "whoever reaches this machine may ask: see serve.keys_file", "warning")
    log.say("serve", f"a page at http://{arguments.host}:{arguments.port}/, requests described at /openapi.json")
    run(app, arguments.host, arguments.port)
    return EXIT_DONE


def _app(config: Config, root: str) -> FastAPI:
    """The service as it is configured.

    Raises:
        UserError: the configuration does not hold, or what the service needs is not installed.
    """
    try:
        from recsys_spark.serving.app import create_app
        from recsys_spark.serving.opening import store_of
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'recsys-spark[serve]'") from None
    store = store_of(config, artifacts_of(config.storage.artifacts, root))
    return create_app(store, config.serve, config.recommend.variant)


def _add_key(file: str, name: str) -> int:
    from recsys_spark.serving.keys import add_key

    print(add_key(file, name))
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recsys-serve",
        description="Answer with the published lists over HTTP, from the store that jobs/publish.py fills. No Spark.",
        epilog="exit codes: 0 stopped, 2 a mistake in arguments or configuration; see docs/serving.md",
    )
    parser.add_argument("--root", metavar="ROOT", help="of the jobs (default: the configuration's root)")
    parser.add_argument("--config", action="append", default=[], metavar="FILE", help="YAML over conf/default.yaml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="one setting, as of the jobs"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="(default: 8000)")
    parser.add_argument(
        "--log",
        choices=log.FORMS,
        default=os.environ.get(log.VARIABLE, "text"),
        help="lines of text, or JSON objects, one a line",
    )
    parser.add_argument(
        "--new-key", metavar="NAME", help="print a new API key, add its hash to serve.keys_file, and stop"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
