"""A model as a folder whose page predicts in a browser, without a server and without a network.

Browsers do not let a page from disk load modules or WebAssembly from files, so onnxruntime-web and
the model are in scripts, compressed.
"""

import base64
import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from housing import schema
from housing.errors import NotPossible
from housing.inference.loaded_model import LoadedModel
from housing.report.design.palette import css
from housing.serving import pages
from housing.store.models.onnx_format import OUTPUT

SOURCE = Path(__file__).parents[1] / "report" / "templates"
CODE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
"""What a page needs of onnxruntime-web: one thread, no graphics processor."""

HOW_TO_GET_IT = (
    "Install it (`npm install onnxruntime-web`), here or above, or name its folder with --runtime."
)


def runtime_files(given: Path | None) -> Mapping[str, bytes]:
    """The files of onnxruntime-web: in the given folder, or installed here or above.

    NotPossible where they are not there.
    """
    here = Path.cwd()
    package = Path("node_modules") / "onnxruntime-web"
    folders = [given] if given is not None else [each / package for each in (here, *here.parents)]
    for folder in folders:
        for files in (folder / "dist", folder):
            if all((files / name).is_file() for name in (CODE, WASM)):
                return {name: (files / name).read_bytes() for name in (CODE, WASM)}
    where = f"in {given}" if given is not None else "installed"
    raise NotPossible(
        what="Exporting to web", why=f"onnxruntime-web is not {where}. {HOW_TO_GET_IT}"
    )


def page_files(
    served: LoadedModel, graph: bytes, error: float | None, runtime: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The page and its scripts, by name; `error` in place of the served model's."""
    target = schema.CATALOGUE[schema.TARGET]
    limits = {
        name: {"minimum": column.minimum, "maximum": column.maximum}
        for name in schema.FEATURES
        for column in (schema.CATALOGUE[name],)
    }
    facts = {
        "words": pages.WORDS,
        "model": served.name,
        "error": pages.size_of_errors(served) if error is None else error,
        "fields": [{**pages.field(served, name), **limits[name]} for name in schema.FEATURES],
        "target": {"minimum": target.minimum, "maximum": target.maximum},
        "output": OUTPUT,
        "simulated": served.notice if served.simulated else "",
        "notice": schema.WORDING.caution,
    }
    return {
        "index.html": _page().encode(),
        "model.js": _script("MODEL", {**facts, "graph": _packed(graph)}),
        "runtime.js": _script("RUNTIME", {n: _packed(runtime[f]) for n, f in _NAMES.items()}),
    }


_NAMES = {"code": CODE, "wasm": WASM}


def _page() -> str:
    """The page with its style sheet and scripts in it."""
    shared = (pages.FOLDER / "common.js").read_text("utf-8").replace("export ", "")
    own = (SOURCE / "offline.js").read_text("utf-8")
    parts = {"STYLE": css(), "SCRIPT": shared + re.sub(r"^import .*$", "", own, flags=re.M)}
    text = (SOURCE / "offline.html").read_text("utf-8")
    for name, content in parts.items():
        text = text.replace(f"/* {name} */", content)
    return text


def _script(name: str, value: Any) -> bytes:
    return f"globalThis.{name} = ".encode() + orjson.dumps(value) + b";\n"


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()
