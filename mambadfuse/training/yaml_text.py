"""YAML as people write settings: small, every value where it is used, and every name once."""

from pathlib import Path
from typing import Any

import yaml

_LARGEST = 50_000  # characters


class _SettingsLoader(yaml.SafeLoader):
    """Refuses names that are given twice, of which YAML takes the last.

    Also aliases: nested ones multiply, so that a file of a kilobyte fills any memory once it is printed.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
                raise ValueError(f"{key.value!r} is set on line {lines[key.value]} and on line {line}")
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event().anchor
            raise ValueError(
                f"the alias *{alias} stands for a value elsewhere, which is refused: write it out"
            )
        return super().compose_node(parent, index)


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
