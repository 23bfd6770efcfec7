"""The only reader and writer of artifacts and checkpoints: a folder of arrays and a manifest, on any file system.

A location is a local path, a volume or an object store's URL (fsspec's schemes). A folder is whole once it has its
manifest, which is written last: a folder without one is what a killed run left, and is never read.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark.errors import UserError

MANIFEST: Final = "manifest.json"
_ARRAYS: Final = "arrays"

Arrays = Mapping[str, npt.NDArray[Any]]


def join(location: str, *parts: str) -> str:
    """A location below another: `join("s3://b/x", "y")` is `s3://b/x/y`."""
    return "/".join([location.rstrip("/"), *parts])


def save_folder(
    location: str, manifest: Mapping[str, Any], arrays: Arrays, files: Mapping[str, bytes] | None = None
) -> None:
    """Write a new folder: each array a `.npy` file of its own (so that readers may map it), other files by name, the manifest
    last.

    What an earlier, unfinished write left at the location is replaced.
    """
    filesystem, path = _filesystem(location)
    delete_folder(location)
    filesystem.makedirs(join(path, _ARRAYS), exist_ok=True)
    names = {f"{number:03d}.npy": name for number, name in enumerate(arrays)}
    for file, name in names.items():
        with filesystem.open(join(path, _ARRAYS, file), "wb") as opened:
            np.save(opened, np.asarray(arrays[name]), allow_pickle=False)
    for file, written in (files or {}).items():
        save_file(join(location, file), written)
    content = dict(manifest) | {"arrays": names}
    save_file(join(location, MANIFEST), json.dumps(content, indent=2, sort_keys=True, default=str).encode())


def save_file(location: str, content: bytes) -> None:
    """Write one file so that readers see the old one or the new one, whole; its folder is made where there is none."""
    filesystem, path = _filesystem(location)
    filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    with filesystem.open(path + ".part", "wb") as opened:
        opened.write(content)
    filesystem.mv(path + ".part", path)


def read_file(location: str) -> bytes | None:
    """The content of a small file; None where there is none."""
    filesystem, path = _filesystem(location)
    try:
        with filesystem.open(path, "rb") as opened:
            return bytes(opened.read())
    except FileNotFoundError:
        return None


def upload(file: Path, location: str) -> None:
    """Copy a file of this machine's disk to a location."""
    filesystem, path = _filesystem(location)
    filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    filesystem.put_file(str(file), path)


def download(location: str, file: Path) -> None:
    """Copy a file to this machine's disk."""
    filesystem, path = _filesystem(location)
    filesystem.get_file(path, str(file))


def copy_file(location: str, to: str) -> None:
    """Copy a file to another location of the same file system."""
    filesystem, path = _filesystem(location)
    _, target = _filesystem(to)
    filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
    filesystem.cp_file(path, target)


def has_folder(location: str) -> bool:
    """Whether a whole folder is there."""
    filesystem, path = _filesystem(location)
    return bool(filesystem.exists(join(path, MANIFEST)))


def load_manifest(location: str) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        UserError: there is no folder, or only an unfinished one.
    """
    filesystem, path = _filesystem(location)
    try:
        with filesystem.open(join(path, MANIFEST), "r") as opened:
            manifest: dict[str, Any] = json.load(opened)
            return manifest
    except FileNotFoundError:
        raise UserError(
            f"{location} holds no whole artifact ({MANIFEST} is missing): run jobs/train.py again"
        ) from None


def load_arrays(location: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a folder by name; local ones are mapped into memory, not read.

    Raises:
        UserError: the folder is not whole.
    """
    names: dict[str, str] = load_manifest(location)["arrays"]
    filesystem, path = _filesystem(location)
    if _is_local(filesystem):
        folder = Path(path)
    else:
        folder = Path(tempfile.mkdtemp(prefix="recsys-arrays-"))
        filesystem.get(join(path, _ARRAYS) + "/", str(folder / _ARRAYS) + "/", recursive=True)
    return {name: np.load(folder / _ARRAYS / file, mmap_mode="r") for file, name in names.items()}


def blank_rows(location: str, name: str, rows: npt.NDArray[Any], fill: float) -> int:
    """Overwrite rows of one array of a folder, in its file; how many were not blank before.

    Where the file is local the rows alone are written, else all of it, in its place. Rows that the array has not are no matter.
    """
    file = next(file for file, kept in load_manifest(location)["arrays"].items() if kept == name)
    filesystem, path = _filesystem(join(location, _ARRAYS, file))
    if _is_local(filesystem):
        array = np.load(path, mmap_mode="r+")
    else:
        with filesystem.open(path, "rb") as reader:
            array = np.load(reader)
    known = rows[rows < len(array)]
    blanked = int((~is_blank(array[known])).sum())
    if not blanked:
        return 0
    array[known] = fill
    if isinstance(array, np.memmap):
        array.flush()
    else:
        with filesystem.open(path, "wb") as writer:
            np.save(writer, array, allow_pickle=False)
    return blanked


def is_blank(rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows hold nothing: zeros or NaN throughout."""
    blank: npt.NDArray[np.bool_] = ((rows == 0) | (rows != rows)).all(axis=tuple(range(1, rows.ndim)))
    return blank


def folders_below(location: str) -> tuple[list[str], list[str]]:
    """The folders of arrays somewhere below a location, in path order: whole ones, and unfinished ones."""
    files = list_files(location)
    whole = {file.removesuffix(MANIFEST).rstrip("/") for file in files if file.rpartition("/")[2] == MANIFEST}
    begun = {file.rpartition(f"{_ARRAYS}/")[0].rstrip("/") for file in files if file.endswith(".npy")}
    return [join(location, one) for one in sorted(whole)], [join(location, one) for one in sorted(begun - whole)]


def list_files(location: str) -> list[str]:
    """Every file below a location, by its path from there, in order; none where there is no such folder."""
    filesystem, path = _filesystem(location)
    filesystem.invalidate_cache(path)  # s3fs keeps what it has listed, and others write there, too
    if not filesystem.exists(path):
        return []
    root = path.rstrip("/") + "/"
    return sorted(str(file).removeprefix(root) for file in filesystem.find(path))


def files_like(pattern: str) -> list[str]:
    """The paths of the files that a path with wildcards stands for, in order."""
    filesystem, path = _filesystem(pattern)
    return sorted(str(file) for file in filesystem.glob(path) if filesystem.isfile(file))


def delete_files(location: str, names: Iterable[str]) -> None:
    """Remove some of the files that `list_files` lists."""
    filesystem, path = _filesystem(location)
    for name in names:
        filesystem.rm(join(path, name))


def opened(location: str) -> Any:
    """A file, opened for reading its bytes."""
    filesystem, path = _filesystem(location)
    return filesystem.open(path, "rb")


def delete_folder(location: str) -> None:
    """Remove a folder, whole or not; nothing happens where there is none."""
    filesystem, path = _filesystem(location)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def folders(location: str) -> list[str]:
    """The names of the folders directly below a location, sorted; none where there is no such location."""
    filesystem, path = _filesystem(location)
    if not filesystem.exists(path):
        return []
    below = (entry for entry in filesystem.ls(path, detail=True) if entry["type"] == "directory")
    return sorted(str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in below)


def last_changed(location: str) -> datetime | None:
    """When the newest file below a location was written; None where there is no file. One look at each file."""
    filesystem, path = _filesystem(location)
    times = [filesystem.modified(file) for file in filesystem.find(path)]
    return max((time if time.tzinfo else time.replace(tzinfo=UTC) for time in times), default=None)


def local_copy(location: str) -> Path:
    """The folder on this machine's disk: itself where it is local, else a copy in a temporary folder."""
    filesystem, path = _filesystem(location)
    if _is_local(filesystem):
        return Path(path)
    folder = Path(tempfile.mkdtemp(prefix="recsys-artifact-"))
    filesystem.get(path.rstrip("/") + "/", str(folder) + "/", recursive=True)
    return folder


def _filesystem(location: str) -> tuple[Any, str]:
    import fsspec

    if location.startswith("dbfs:/"):
        location = "/dbfs/" + location.removeprefix("dbfs:/").lstrip("/")
    if location.startswith("file:") and not location.startswith("file://"):
        location = "file://" + location.removeprefix("file:")
    filesystem, path = fsspec.core.url_to_fs(location)
    return filesystem, str(path)


def _is_local(filesystem: Any) -> bool:
    protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple | list) else (filesystem.protocol,)
    return "file" in protocols or "local" in protocols
