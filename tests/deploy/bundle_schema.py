"""What a bundle's files may say: jobs by the classes of Databricks' own SDK, the rest by the reference of bundle settings.

https://docs.databricks.com/aws/en/dev-tools/bundles/reference. Classes, as the SDK has them: a key is a field, one without a
default must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from databricks.sdk.service.jobs import JobSettings


@dataclass
class About:
    name: str
    cluster_id: str | None = None
    compute_id: str | None = None
    databricks_cli_version: str | None = None
    deployment: dict[str, Any] | None = None
    git: dict[str, str] | None = None
    uuid: str | None = None


@dataclass
class Variable:
    default: Any = None
    description: str | None = None
    lookup: dict[str, str] | None = None
    type: Literal["complex"] | None = None


@dataclass
class Sync:
    exclude: list[str] | None = None
    include: list[str] | None = None
    paths: list[str] | None = None


@dataclass
class Workspace:
    artifact_path: str | None = None
    auth_type: str | None = None
    file_path: str | None = None
    host: str | None = None
    profile: str | None = None
    resource_path: str | None = None
    root_path: str | None = None
    state_path: str | None = None


@dataclass
class ArtifactFile:
    source: str


@dataclass
class Artifact:
    build: str | None = None
    dynamic_version: bool | None = None
    executable: Literal["bash", "sh", "cmd"] | None = None
    files: list[ArtifactFile] | None = None
    path: str | None = None
    type: Literal["whl", "jar"] | None = None


@dataclass
class Resources:
    """Of the kinds that a bundle may have, the one that this one has."""

    jobs: dict[str, JobSettings] | None = None


@dataclass
class Target:
    artifacts: dict[str, Artifact] | None = None
    bundle: dict[str, Any] | None = None
    cluster_id: str | None = None
    compute_id: str | None = None
    default: bool | None = None
    git: dict[str, str] | None = None
    mode: Literal["development", "production"] | None = None
    permissions: list[dict[str, str]] | None = None
    presets: dict[str, Any] | None = None
    resources: Resources | None = None
    run_as: dict[str, str] | None = None
    sync: Sync | None = None
    variables: dict[str, Any] | None = None
    workspace: Workspace | None = None


@dataclass
class Included:
    """A file that the bundle's own includes."""

    artifacts: dict[str, Artifact] | None = None
    include: list[str] | None = None
    permissions: list[dict[str, str]] | None = None
    presets: dict[str, Any] | None = None
    resources: Resources | None = None
    run_as: dict[str, str] | None = None
    scripts: dict[str, Any] | None = None
    sync: Sync | None = None
    targets: dict[str, Target] | None = None
    variables: dict[str, Variable] | None = None
    workspace: Workspace | None = None


@dataclass(kw_only=True)
class Bundle(Included):
    bundle: About


def wrong(content: Any, kind: Any, where: str = "") -> Iterator[str]:
    """What content, as YAML gives it, has that its kind has not, or lacks, or has of another type; a line each."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or (origin in (Union, UnionType) and any(not list(wrong(content, one)) for one in arguments)):
        return
    if origin in (Union, UnionType):
        yield from wrong(content, next(one for one in arguments if one is not NoneType), where)
    elif origin is list and isinstance(content, list):
        for place, entry in enumerate(content):
            yield from wrong(entry, arguments[0], f"{where}[{place}]")
    elif origin is dict and isinstance(content, dict):
        for key, entry in content.items():
            yield from wrong(entry, arguments[1], f"{where}.{key}")
    elif is_dataclass(kind) and isinstance(content, dict):
        hints = get_type_hints(kind)
        required = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
        yield from (f"{where}: {key} is missing" for key in sorted(required - set(content)))
        for key, entry in content.items():
            if key in hints:
                yield from wrong(entry, hints[key], f"{where}.{key}")
            else:
                yield f"{where}: {key} is no key of {kind.__name__}"
    elif not _is_one(content, kind):
        yield f"{where}: {content!r} is no {kind}"


def _is_one(content: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return content in get_args(kind)
    if not isinstance(kind, type):
        return False
    if issubclass(kind, Enum):
        return content in {one.value for one in kind}
    return isinstance(content, kind) and not (kind is int and isinstance(content, bool))
