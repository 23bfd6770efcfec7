"""What is asked most, one user's list with no more than `n` said of it, is answered before the router has a look.

FastAPI's reading of parameters, its look-up of the route and its second look at the answer take longer than all of ours.
Whatever asks for more, is no valid user or `n`, or is not answered from a file on this machine, takes the usual way, by which it
is also refused in the usual words.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys_spark.serving.answers import LONGEST_ID, MOST_N, N, Recommendations
from recsys_spark.serving.lists import lists_for
from recsys_spark.serving.service import Service
from recsys_spark.serving.store import StoreUnavailableError

_PATH: Final = re.compile(rf"/v1/users/([^\0\n]{{1,{LONGEST_ID}}})/recommendations")
_QUERY: Final = re.compile(rb"(?:n=([0-9]{1,3}))?")


class PlainLists:
    """The innermost layer.

    Args:
        route: of the usual way, under whose name such requests are logged and counted.
    """

    def __init__(self, app: ASGIApp, service: Service, route: BaseRoute) -> None:
        self._app, self._service, self._route = app, service, route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if answer is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        self._service.metrics.count_lists([answer])
        await Response(answer.model_dump_json(), media_type="application/json")(scope, receive, send)

    def _answer(self, scope: Scope) -> Recommendations | None:
        path, query = _PATH.fullmatch(scope["path"]), _QUERY.fullmatch(scope["query_string"])
        night = self._service.store.live().get(self._service.variant)
        if path is None or query is None or night is None or not night.quick:
            return None
        n = int(query[1] or N)
        if not 1 <= n <= MOST_N:
            return None
        try:
            return lists_for(night, [path[1]], n, ())[0]
        except StoreUnavailableError:
            return None
