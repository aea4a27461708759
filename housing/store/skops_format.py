"""Models in skops' format, made repeatable: the same model gives the same bytes.

skops names objects by their address in memory, writes what is referred to twice twice over, and
stamps the clock into its zip. Here the names become numbers in order of appearance, a second
mention becomes a reference (which skops' reader resolves), and no time is kept. Boosted trees are
packed (`packed_trees`).
"""

import io
import json
import zipfile
from typing import Any

from housing.errors import NotPossible
from housing.store.packed_trees import pack, unpack

_SHARED = frozenset({"ObjectNode", "TreeNode"})
"""Kinds of entry of which a second mention is written as a reference."""

_VALUES = "JsonNode"
"""Numbers and texts, each of which is told apart: whether two equal ones are one object depends on
where they came from, a search or SQL, and says nothing of the model."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SCHEMA = "schema.json"


def dump(model: Any, trusted: tuple[str, ...]) -> bytes | None:
    """A model as bytes, or None where skops has no way to store it.

    NotPossible where it holds a type that is not trusted.
    """
    import skops.io  # takes half a second, which a night without a new model has no need of
    from skops.io.exceptions import UnsupportedTypeException

    try:
        raw = skops.io.dumps(pack(model))
    except UnsupportedTypeException:
        return None
    strange = sorted(set(skops.io.get_untrusted_types(data=raw)) - set(trusted))
    if strange:
        raise NotPossible(
            what=f"Storing a {type(model).__name__}",
            why=f"it holds {', '.join(strange)}, which housing/store/trusted.py does not list.",
        )
    return _repeatable(raw)


def load(data: bytes, trusted: tuple[str, ...]) -> Any:
    """A model from the bytes of `dump`; skops refuses what is not trusted."""
    import skops.io

    return unpack(skops.io.loads(data, trusted=list(trusted)))


def _repeatable(raw: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(packed, "w") as new:
        names = _Names()
        schema = names.rewritten(json.loads(old.read(_SCHEMA)))
        for before, after in names.files.items():
            new.writestr(zipfile.ZipInfo(after, _EPOCH), old.read(before))
        new.writestr(zipfile.ZipInfo(_SCHEMA, _EPOCH), json.dumps(schema))
    return packed.getvalue()


class _Names:
    """New names for objects and files, in order of appearance."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._numbers = 0
        self.files: dict[str, str] = {}

    def rewritten(self, node: Any) -> Any:
        """A part of the schema under new names."""
        if isinstance(node, list):
            return [self.rewritten(item) for item in node]
        if not isinstance(node, dict):
            return node
        kept = dict(node)
        if isinstance(node.get("__loader__"), str) and "__id__" in node:
            seen = node["__id__"] in self._ids and node["__loader__"] != _VALUES
            self._numbers += not seen
            kept["__id__"] = self._ids[node["__id__"]] if seen else self._numbers
            self._ids[node["__id__"]] = kept["__id__"]
            if seen and node["__loader__"] in _SHARED:
                return {"__id__": kept["__id__"]}
        if isinstance(node.get("file"), str):
            suffix = node["file"].rpartition(".")[2]
            new = f"{len(self.files) + 1}.{suffix}"
            kept["file"] = self.files.setdefault(node["file"], new)
        return {
            name: value if name in ("__id__", "file") else self.rewritten(value)
            for name, value in kept.items()
        }
