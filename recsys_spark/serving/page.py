"""The web page at `/`: files of the package, read once, that a browser asks for again only when they have changed.

The page needs no key; what it asks of `/v1/` does. Its policy lets the browser load from this service and nowhere else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

_FOLDER: Final = "web"
_START: Final = "index.html"
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Cache-Control": "no-cache",  # kept, and asked for again with its ETag
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class File:
    """A file of the page; `tag` is its ETag."""

    content: bytes
    kind: str
    tag: str


@router.get("/")
async def start(request: Request) -> Response:
    """The page itself."""
    return _answer(request, _START)


@router.get("/web/{name}")
async def part(request: Request, name: str) -> Response:
    """A file that the page names."""
    return _answer(request, name)


@cache
def files() -> dict[str, File]:
    """The page's files by name."""
    folder = resources.files(__package__) / _FOLDER
    contents = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    return {
        name: File(content, _KINDS[name.rpartition(".")[2]], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for name, content in contents.items()
        if name.rpartition(".")[2] in _KINDS
    }


def _answer(request: Request, name: str) -> Response:
    file = files().get(name)
    if file is None:
        raise HTTPException(404, "the page has no such file")
    headers = {**_HEADERS, "ETag": file.tag}
    if request.headers.get("If-None-Match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.kind)
