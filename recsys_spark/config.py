"""The configuration: YAML files laid over `conf/default.yaml`, parsed into frozen classes that reject what they lack.

Every default stands once, in `conf/default.yaml`; the classes declare types, ranges and choices only.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from recsys_spark.errors import UserError
from recsys_spark.settings import Config


def load_config(files: Sequence[str | Path] = (), settings: Iterable[str] = ()) -> Config:
    """`conf/default.yaml` with its preset of the model, each file, then each `key.sub=value`, each over what came before.

    Raises:
        UserError: a file that is missing or is not YAML, an unknown key (with the nearest known one), a bad value.
    """
    layers = [*map(_of_file, files), *map(_of_setting, settings)]
    default = _parse_yaml(default_yaml(), "conf/default.yaml")
    presets = default.pop("presets")
    for layer, _ in layers:
        presets |= layer.pop("presets", {})  # your own, by model; those of a name that has some already are replaced
    without_preset = copy.deepcopy(default)
    for layer, origin in layers:
        _overlay(without_preset, layer, origin)
    name = without_preset["model"]["name"]
    for layer, origin in ((presets.get(name, {}), f"preset of {name}"), *layers):
        _overlay(default, layer, origin)
    return _validated(default)


def _of_file(file: str | Path) -> tuple[dict[str, Any], str]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"configuration file {file} cannot be read: {error.strerror}") from error
    return _parse_yaml(text, str(file)), str(file)


def _of_setting(setting: str) -> tuple[dict[str, Any], str]:
    key, separator, value = setting.partition("=")
    if not separator:
        raise UserError(f"--set {setting!r} is not of the form key=value, for example training.ranks=2")
    return nested({key.strip(): _parse_yaml_value(value, setting)}), f"--set {setting}"


def changed(config: Config, settings: Mapping[str, Any], origin: str) -> Config:
    """The configuration with other values of some dotted keys.

    Raises:
        UserError: an unknown key (with the nearest known one), a bad value; the message starts with `origin`.
    """
    merged = config.model_dump(mode="json")
    for key, value in settings.items():
        _overlay(merged, nested({key: value}), origin)
    try:
        return _validated(merged)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as sections: `{"a.b": 1, "a.c": 2}` is `{"a": {"b": 1, "c": 2}}`."""
    sections: dict[str, Any] = {}
    for key, value in settings.items():
        *outer, last = key.split(".")
        section = sections
        for name in outer:
            section = section.setdefault(name, {})
        section[last] = value
    return sections


def _validated(merged: Mapping[str, Any]) -> Config:
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise UserError("\n".join(_explain(problem) for problem in error.errors())) from None


def default_yaml() -> str:
    """The text of `conf/default.yaml`, from the checkout, the installed package or an archive on the path."""
    return conf_text("default.yaml")


def conf_text(name: str) -> str:
    """The text of a file under `conf/`, likewise."""
    checkout = Path(__file__).resolve().parent.parent / "conf" / name
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    # the folder holds no Python: in an archive it is no package of its own
    return (resources.files("recsys_spark") / "conf" / name).read_text(encoding="utf-8")


def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Every dotted key of the configuration, sections included."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        section = _section_of(info.annotation)
        if section:
            keys += known_keys(section, f"{prefix}{name}.")
    return keys


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _parse_yaml(text: str, origin: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{origin} is not YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{origin} holds a {type(content).__name__}, expected `key: value` lines")
    return content


def _parse_yaml_value(text: str, setting: str) -> Any:
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise UserError(f"--set {setting!r}: the value is not YAML: {error}") from None


def _overlay(base: dict[str, Any], layer: Mapping[str, Any], origin: str, prefix: str = "") -> None:
    """Lay `layer` over `base`, key by key; free-form mappings (those no class declares) are replaced whole."""
    known = known_keys()
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        if dotted not in known:
            # another section's key of the same name is as likely a slip as a misspelt one
            near = [name for name in known if name.rpartition(".")[2] == str(key)]
            near = near or difflib.get_close_matches(dotted, known, n=1, cutoff=0.0)
            raise UserError(f"{origin}: unknown key `{dotted}`; did you mean `{near[0]}`?")
        is_section = any(name.startswith(f"{dotted}.") for name in known)
        if is_section and not isinstance(value, Mapping):
            raise UserError(f"{origin}: `{dotted}` is a section, expected `key: value` lines, got {value!r}")
        if is_section:
            _overlay(base[key], value, origin, f"{dotted}.")
        else:
            base[key] = value


def _explain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    return f"configuration key `{where}`: {problem['msg'][0].lower()}{problem['msg'][1:]} (got {problem['input']!r})"
