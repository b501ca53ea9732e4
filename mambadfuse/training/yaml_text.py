"""YAML as people write settings: small, every value where it is used and as it reads, and every name once."""

import re
from pathlib import Path
from typing import Any

import yaml

_LARGEST = 50_000  # characters
_TAG = "tag:yaml.org,2002:"


class _SettingsLoader(yaml.SafeLoader):
    """Reads plain values as YAML 1.2 does, numbers as decimal ones, and names as text.

    PyYAML follows YAML 1.1, where ``010`` is 8, ``1:30:00`` is 5400, ``no`` is false and ``2026-01-02`` a date; here
    they are 10 and three texts. ``1_000`` stays a number, and ``1e3`` becomes one; ``0x10`` is a text, as ``64x64`` is.

    Names that are given twice, of which YAML takes the last, are refused. So are aliases: nested ones multiply, so that
    a file of a kilobyte fills any memory once it is printed.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            key.tag = f"{_TAG}str"
            line = key.start_mark.line + 1
            if key.value in lines:
                raise ValueError(f"{key.value!r} is set on line {lines[key.value]} and on line {line}")
            lines[key.value] = line
        return super().construct_mapping(node, deep)

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        """A whole number; PyYAML's own constructor takes 010 for 8."""
        return int(str(self.construct_scalar(node)))

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event().anchor
            raise ValueError(
                f"the alias *{alias} stands for a value elsewhere, which is refused: write it out"
            )
        return super().compose_node(parent, index)


_SettingsLoader.yaml_implicit_resolvers = {}
_SettingsLoader.add_constructor(f"{_TAG}int", _SettingsLoader.construct_decimal)
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+(?:_[0-9]+)*", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
):
    _SettingsLoader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(f"(?:{_pattern})$"), list(_first))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ValueError: it is not readable as YAML, holds aliases or a name twice, or is larger than any file of settings.
        OSError: it cannot be read; the message names it.
    """
    try:
        if not path.is_file():
            raise OSError(f"{path}: {'is not a file' if path.exists() else 'no such file'}")
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not readable as YAML: {error}") from error
    except OSError as error:
        raise OSError(
            f"{path}: cannot be read ({error.strerror})" if error.strerror else str(error)
        ) from error
    return parse_yaml(text, f"{path}:")


def parse_yaml(text: str, name: str) -> Any:
    """The content of YAML text.

    Args:
        text: the text.
        name: the words that messages begin with.

    Raises:
        ValueError: it is not readable as YAML, holds aliases or a name twice, or is larger than any file of settings.
    """
    if len(text) > _LARGEST:
        raise ValueError(f"{name} expected at most {_LARGEST} characters of YAML, found more")
    try:
        return yaml.load(text, _SettingsLoader)
    except Exception as error:  # values such as "!!int x" raise almost anything
        reason = str(error) or type(error).__name__
        raise ValueError(f"{name} is not readable as YAML: {reason}") from error
