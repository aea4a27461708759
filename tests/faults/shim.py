"""The library that fails a chosen operation: how it is built, and how it is told what to do."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")

WRITES, READS, NETWORK = 1, 2, 4
KILL, TORN, FAIL = 1, 2, 3

_LAYOUT = struct.Struct("8q512s512s")
_RECORDING = 7 * 8  # where it stands


@dataclass(frozen=True)
class Fault:
    """What befalls an operation; `lasting` means all later ones of the process as well."""

    name: str
    action: int
    classes: int
    error: int = 0
    lasting: bool = False


FILE_FAULTS = (
    Fault("kill", KILL, WRITES),
    Fault("torn write", TORN, WRITES),
    Fault("EIO", FAIL, WRITES | READS, errno.EIO),
    Fault("EIO for good", FAIL, WRITES | READS, errno.EIO, lasting=True),
    Fault("ENOSPC", FAIL, WRITES, errno.ENOSPC),
    Fault("ENOSPC for good", FAIL, WRITES, errno.ENOSPC, lasting=True),
)
"""What a disk or the power can do to a process that writes files."""

NETWORK_FAULTS = (
    Fault("kill", KILL, WRITES | NETWORK),
    Fault("torn message", TORN, WRITES | NETWORK),
    Fault("connection lost", FAIL, NETWORK, errno.ECONNRESET),
    Fault("EIO", FAIL, WRITES | READS, errno.EIO),
    Fault("ENOSPC for good", FAIL, WRITES, errno.ENOSPC, lasting=True),
)
"""What can befall a process whose database is a server, as that process sees it."""

SERVER_FAULTS = (
    Fault("kill a server process", KILL, WRITES),
    Fault("EIO in the server", FAIL, WRITES, errno.EIO),
    Fault("ENOSPC in the server", FAIL, WRITES, errno.ENOSPC),
)
"""What can befall the processes of the database server."""


class Plan:
    """The memory that the library reads its orders from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(_LAYOUT.size))
        path.chmod(0o666)  # the server's processes have a user of their own
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)

    def watch(self, prefix: Path, avoid: Path) -> None:
        """Count operations below `prefix`, but not those below `avoid`."""
        _LAYOUT.pack_into(self._memory, 0, *[0] * 8, str(prefix).encode(), str(avoid).encode())

    def order(self, fault: Fault, at: int) -> None:
        """Begin to count; the `at`-th operation fails (0 none does)."""
        numbers = (0, at, fault.action, fault.error, fault.lasting, fault.classes, 0)
        struct.pack_into("7q", self._memory, 0, *numbers)

    @contextmanager
    def recording(self) -> Iterator[Path]:
        """Record operations while the block runs; yields the file that `trace.read` reads."""
        path = self.path.with_name(f"{self.path.name}.trace")
        path.unlink(missing_ok=True)
        struct.pack_into("q", self._memory, _RECORDING, 1)
        try:
            yield path
        finally:
            struct.pack_into("q", self._memory, _RECORDING, 0)

    def lift(self) -> tuple[int, int]:
        """Fail no more; returns how many operations there were, and how many failed."""
        count, *_, fired = struct.unpack_from("7q", self._memory, 0)
        struct.pack_into("q", self._memory, 8, 0)
        return count, fired


def build(folder: Path) -> Path | None:
    """The compiled library, or None where there is no C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    library = folder / "faults.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library
