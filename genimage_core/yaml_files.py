"""YAML files from anyone: read without running anything, and no larger in memory than a limit."""

import math
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 2**20
MAX_VALUES = 100_000  # keys and values, what an alias stands for counted every time
MAX_NUMBER = 1000  # characters; sexagesimal ones take time that grows with the square
_TEXT = "tag:yaml.org,2002:str"


def read_yaml(path: Path, kind: str = "") -> dict[str, Any]:
    """Read a YAML file that holds keys and values.

    Nothing but numbers, texts, dates, lists and mappings is made. Aliases are fine as long as the file does
    not hold more than `MAX_VALUES` keys and values with every alias written out, and none lies within
    what it stands for: a few lines could else stand for more than any memory holds.

    Args:
        path: The file, UTF-8, of at most `MAX_BYTES`.
        kind: What it is called in messages, before its name.

    Raises:
        ValueError: If it cannot be read, holds something else or is too large; the message names the file.
    """
    name = f"{kind} {path}".lstrip()
    try:
        content = _load(_read_text(path))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {name}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} must hold keys and values, got {type(content).__name__}")
    return content


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
    return content.decode("utf-8")


def _load(text: str) -> object:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MAX_VALUES:
            raise ValueError(
                f"it holds more than {MAX_VALUES:,} values, or an alias within what it stands for"
            )
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, float]) -> float:
    """Values that a node holds, aliases written out; without end if one stands within itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is counted
        known[id(node)] = 1 + sum(_count(part, known) for part in _parts(node))
    return known[id(node)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if node.tag != _TEXT and len(node.value) > MAX_NUMBER:
        raise ValueError(f"{node.value[:20]}… is no text and has more than {MAX_NUMBER:,} characters")
    return []
