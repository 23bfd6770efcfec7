"""A client of the service, for backends in Python: typed answers, and patience where the service asks for it.

with Client("http://127.0.0.1:8000") as client:
    for item in client.recommendations("128", n=5).items:
        print(item.rank, item.title, item.reason)
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel

from recsys_spark.serving import feedback
from recsys_spark.serving.answers import Found, Lists, N, Product, Recommendations
from recsys_spark.serving.live_answers import LiveList, LiveLists, Pairs, Similar, Taking, Value, WhomToAnswer

_AGAIN: Final = (429, 503)
_LONGEST_WAIT: Final = 5.0
T = TypeVar("T", bound=BaseModel)


class ServiceError(Exception):
    """The service refused a request: `status` is HTTP's, `detail` its own words."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


class Client:
    """Asks one service. May be used by several threads; holds connections until it is closed.

    Args:
        url: of the service, without a path.
        key: where the service wants one.
        seconds: the most that one attempt may take.
        retries: further attempts after 429, 503 or a lost connection; between two it waits as long as the service says.
    """

    def __init__(self, url: str, key: str | None = None, seconds: float = 5.0, retries: int = 2) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=seconds)
        self._retries = retries

    def recommendations(
        self,
        user_id: str,
        n: int = N,
        exclude: Sequence[str] = (),
        variant: str | None = None,
        context: Mapping[str, Value] = {},
    ) -> Recommendations:
        """One user's list; with a context, as `{"hour": 13}`, one that is made now.

        Raises:
            ServiceError: it was refused, in the end.
        """
        moment = [f"{name}:{value}" for name, value in context.items()]
        query = {"n": n, "exclude": list(exclude), "variant": variant, "context": moment}
        return self._asked(Recommendations, "GET", f"/v1/users/{_escaped(user_id)}/recommendations", query)

    def recommendations_of(
        self, user_ids: Sequence[str], n: int = N, exclude: Sequence[str] = (), variant: str | None = None
    ) -> list[Recommendations]:
        """Several users' lists, in order.

        Raises:
            ServiceError: it was refused, in the end.
        """
        body = {"user_ids": list(user_ids), "n": n, "exclude": list(exclude), "variant": variant}
        return self._asked(Lists, "POST", "/v1/users/recommendations", body=body).lists

    def recommend(
        self,
        items: Sequence[str] = (),
        user_id: str | None = None,
        n: int = N,
        exclude: Sequence[str] = (),
        variant: str | None = None,
        context: Mapping[str, Value] = {},
    ) -> LiveList:
        """A list made now for somebody by what they had, oldest first.

        Raises:
            ServiceError: it was refused, in the end; 409 where the live night has no model for it.
        """
        whom = {"items": list(items), "user_id": user_id, "context": dict(context)}
        body = {**whom, "n": n, "exclude": list(exclude), "variant": variant}
        return self._asked(LiveList, "POST", "/v1/recommend", body=body)

    def recommend_to(
        self,
        requests: Sequence[WhomToAnswer],
        n: int = N,
        exclude: Sequence[str] = (),
        variant: str | None = None,
    ) -> list[LiveList]:
        """Several such lists, in order.

        Raises:
            ServiceError: as `recommend`.
        """
        whom = [one.model_dump() for one in requests]
        body = {"requests": whom, "n": n, "exclude": list(exclude), "variant": variant}
        return self._asked(LiveLists, "POST", "/v1/recommend/batch", body=body).lists

    def score(
        self,
        candidates: Sequence[str],
        items: Sequence[str] = (),
        user_id: str | None = None,
        variant: str | None = None,
        context: Mapping[str, Value] = {},
    ) -> Pairs:
        """Scores of certain items for somebody.

        Raises:
            ServiceError: as `recommend`.
        """
        whom = {"items": list(items), "user_id": user_id, "context": dict(context)}
        return self._asked(
            Pairs, "POST", "/v1/score", body={**whom, "candidates": list(candidates), "variant": variant}
        )

    def history(self, user_id: str, n: int = N, variant: str | None = None) -> Taking:
        """What a user had last, newest first.

        Raises:
            ServiceError: it was refused, in the end; 404 of whom nothing is kept.
        """
        return self._asked(Taking, "GET", f"/v1/users/{_escaped(user_id)}/history", {"n": n, "variant": variant})

    def similar(self, item_id: str, n: int = N, variant: str | None = None) -> Similar:
        """The items nearest to one.

        Raises:
            ServiceError: as `recommend`; 404 where the model does not know the item.
        """
        return self._asked(Similar, "GET", f"/v1/items/{_escaped(item_id)}/similar", {"n": n, "variant": variant})

    def search(self, text: str, n: int = N) -> list[Product]:
        """Items by words of their titles.

        Raises:
            ServiceError: it was refused, in the end.
        """
        return self._asked(Found, "GET", "/v1/items", {"q": text, "n": n}).items

    def item(self, item_id: str) -> Product | None:
        """What is known of an item; None: there is none of this id.

        Raises:
            ServiceError: it was refused, in the end.
        """
        try:
            return self._asked(Product, "GET", f"/v1/items/{_escaped(item_id)}")
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    def tell(self, events: Sequence[feedback.Event]) -> feedback.EventsKept:
        """What was shown and done, 1,000 events at most; when it returns, they are on the service's disk.

        Those without a time are of now. Each gets a key where it has none, so that asking again counts nothing twice.

        Raises:
            ServiceError: it was refused, in the end; 507 where the service's disk is full.
        """
        body = feedback.repeatable(events).model_dump(mode="json", exclude_none=True)
        return self._asked(feedback.EventsKept, "POST", "/v1/events", body=body)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _asked(self, kind: type[T], method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> T:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        for attempt in range(self._retries + 1):
            wait = 0.1 * 2**attempt
            try:
                answer = self._http.request(method, path, params=given, json=body)
            except httpx2.TransportError as error:
                refusal = ServiceError(0, f"not reached: {type(error).__name__}: {error}")
            else:
                if answer.is_success:
                    return kind.model_validate_json(answer.content)
                refusal = ServiceError(answer.status_code, _detail(answer))
                if answer.status_code not in _AGAIN:
                    raise refusal
                wait = float(answer.headers.get("Retry-After", wait))
            if attempt < self._retries:
                time.sleep(min(wait, _LONGEST_WAIT))
        raise refusal


def _escaped(identity: str) -> str:
    return quote(identity, safe="")


def _detail(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
