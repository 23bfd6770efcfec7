"""Who is told how a job ended: a command with the summary on its stdin, a webhook that it is POSTed to, as JSON.

A hook that fails is a warning: it never changes what the job did, nor its exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final

from recsys_spark.errors import EXIT_DONE, EXIT_GATED
from recsys_spark.operation_settings import Alerts

_STATUS: Final = {EXIT_DONE: "done", EXIT_GATED: "gated"}
_SHOWN: Final = 300  # characters of a command's own complaint in the warning


def status_of(exit_code: int) -> str:
    """done, gated or failed."""
    return _STATUS.get(exit_code, "failed")


def tell(alerts: Alerts, summary: Mapping[str, Any], wait: Callable[[float], None] = time.sleep) -> list[str]:
    """Call the hooks that are configured for `summary["status"]`; what went wrong with them, a line each.

    Takes up to `alerts.seconds` for the command, and as much for each attempt at the webhook.
    """
    if summary["status"] not in alerts.when:
        return []
    body = json.dumps(summary, default=str).encode()
    warnings = [_run(alerts, body) if alerts.command else None]
    if alerts.webhook or alerts.webhook_env:
        url = alerts.webhook or os.environ.get(alerts.webhook_env, "")
        warnings.append(_post(url, alerts, body, wait))
    return [f"the alert was not sent: {warning}" for warning in warnings if warning]


def _run(alerts: Alerts, body: bytes) -> str | None:
    what = f"alerts.command ({alerts.command[0]})"
    try:
        done = subprocess.run(alerts.command, input=body, capture_output=True, timeout=alerts.seconds)
    except subprocess.TimeoutExpired:
        return f"{what} took more than alerts.seconds={alerts.seconds:g} and was stopped"
    except OSError as error:
        return f"{what} cannot be started: {error.strerror}"
    complaint = done.stderr.decode(errors="replace").strip()[-_SHOWN:]
    return f"{what} ended with exit code {done.returncode}: {complaint}" if done.returncode else None


def _post(url: str, alerts: Alerts, body: bytes, wait: Callable[[float], None]) -> str | None:
    """POST, again after 1, 2, 4, ... seconds where the server failed or was not reached; the URL may be a secret and is not
    said."""
    if not url.startswith(("http://", "https://")):
        held_by = "alerts.webhook" if alerts.webhook else f"the environment variable {alerts.webhook_env}"
        return f"{held_by} holds no http or https URL"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    warning = ""
    for attempt in range(alerts.retries + 1):
        if attempt:
            wait(2.0 ** (attempt - 1))
        try:
            with urllib.request.urlopen(request, timeout=alerts.seconds):
                return None
        except urllib.error.HTTPError as error:
            warning = f"the webhook answered {error.code} {error.reason}"
            if error.code < 500:
                break  # it would answer the same again
        except (OSError, ValueError, HTTPException) as error:
            warning = f"the webhook was not reached: {getattr(error, 'reason', error)}"
    return warning
