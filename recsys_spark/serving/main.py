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

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    arguments = _parser().parse_args(argv)
    log.use(arguments.log)
    try:
        app = _app(arguments)
    except UserError as error:
        log.say("serve", f"error: {error}", "error")
        return EXIT_USER_ERROR
    import uvicorn

    uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning", access_log=False)
    return EXIT_DONE


def _app(arguments: argparse.Namespace) -> FastAPI:
    """The service as it is configured, its store opened.

    Raises:
        UserError: the configuration does not hold, or FastAPI and uvicorn are not there.
    """
    config = load_config(arguments.config, arguments.settings)
    root = arguments.root or config.root
    try:
        from recsys_spark.serving.app import create_app
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'recsys-spark[serve]'") from None
    from recsys_spark.serving.opening import store_of

    store = store_of(config, artifacts_of(config.storage.artifacts, root))
    store.refresh()
    if not store.live():
        log.say("serve", f"nothing is published under {root} yet: lists come once jobs/publish.py has run", "warning")
    for variant, night in store.live().items():
        log.say("serve", f"live: {night.about.name} of variant {variant}, {night.about.users:,} lists")
    log.say("serve", f"http://{arguments.host}:{arguments.port}/docs")
    return create_app(store, config.serve, config.recommend.variant)


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
    return parser


if __name__ == "__main__":
    sys.exit(main())
