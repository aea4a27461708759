"""Models in skops' format, made repeatable: the same model gives the same bytes.

skops names objects by their address in memory, writes shared objects more than once, and puts the
time into its zip. Here names become numbers in order of appearance, an object equal to an earlier
one becomes a reference to it (which skops resolves), and no time is stored. So it does not matter
which equal objects are identical in memory, which depends on where a part was fitted. Boosted trees
are packed (`packed_trees`).
"""

import hashlib
import io
import json
import zipfile
from typing import Any

from housing.errors import NotPossible
from housing.store.models.packed_trees import pack, unpack

_SHARED = frozenset({"ObjectNode", "TreeNode"})
"""Kinds of entry whose equal repetition is written as a reference."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SCHEMA = "schema.json"


def dump(model: Any, trusted: tuple[str, ...]) -> bytes | None:
    """A model as bytes, or None where skops has no way to store it.

    NotPossible where it holds a type that is not trusted.
    """
    import skops.io  # slow to import, and not needed without a new model
    from skops.io.exceptions import UnsupportedTypeException

    try:
        raw = skops.io.dumps(pack(model))
    except UnsupportedTypeException:
        return None
    strange = sorted(set(skops.io.get_untrusted_types(data=raw)) - set(trusted))
    if strange:
        raise NotPossible(
            what=f"Storing a {type(model).__name__}",
            why=f"it holds {', '.join(strange)}, which is not trusted "
            "(housing/store/models/trusted_types.py): "
            "a model family names the types of other packages in `trusted`, and the function of a "
            "derived column stands in its registry.",
        )
    return _repeatable(raw)


def load(data: bytes, trusted: tuple[str, ...]) -> Any:
    """A model from the bytes of `dump`; skops refuses what is not trusted."""
    import skops.io

    return unpack(skops.io.loads(data, trusted=list(trusted)))


def _repeatable(raw: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(packed, "w") as new:
        files = {name: old.read(name) for name in old.namelist() if name != _SCHEMA}
        names = _Names({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        schema = names.rewritten(json.loads(old.read(_SCHEMA)))
        for before, after in names.files.values():
            new.writestr(zipfile.ZipInfo(after, _EPOCH), files[before])
        new.writestr(zipfile.ZipInfo(_SCHEMA, _EPOCH), json.dumps(schema))
    return packed.getvalue()


class _Names:
    """New names for objects and files, in order of appearance; `digests` are those of the files."""

    def __init__(self, digests: dict[str, str]) -> None:
        self._digests = digests
        self._digest_of: dict[int, str] = {}  # by id() of an entry: digest of its content
        self._known: dict[str, int] = {}  # digest -> number of the first entry with it
        self._numbers = 0
        self.files: dict[str, tuple[str, str]] = {}  # digest -> name before, name now

    def rewritten(self, node: Any) -> Any:
        """A part of the schema under new names."""
        if isinstance(node, list):
            return [self.rewritten(item) for item in node]
        if not isinstance(node, dict):
            return node
        kept = dict(node)
        if isinstance(node.get("__loader__"), str) and "__id__" in node:
            digest = self._content(node) if node["__loader__"] in _SHARED else ""
            if digest in self._known:
                return {"__id__": self._known[digest]}
            self._numbers += 1
            kept["__id__"] = self._numbers
            if digest:
                self._known[digest] = self._numbers
        if isinstance(node.get("file"), str):
            kept["file"] = self._file(node["file"])
        return {
            name: value if name in ("__id__", "file") else self.rewritten(value)
            for name, value in kept.items()
        }

    def _file(self, before: str) -> str:
        after = f"{len(self.files) + 1}.{before.rpartition('.')[2]}"
        return self.files.setdefault(self._digests[before], (before, after))[1]

    def _content(self, node: Any) -> str:
        """Digest of the content of a part of the schema, without names."""
        if id(node) not in self._digest_of:
            text = json.dumps(self._plain(node))
            self._digest_of[id(node)] = hashlib.sha256(text.encode()).hexdigest()
        return self._digest_of[id(node)]

    def _plain(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._content(item) for item in node]
        if not isinstance(node, dict):
            return [node]
        return {
            name: self._digests[value]
            if name == "file" and isinstance(value, str)
            else self._content(value)
            for name, value in node.items()
            if name != "__id__"
        }
