"""Connections shared evenly among the workers of a server.

Workers listen on one socket, and asyncio takes all that waits there at once: of clients that
connect together and stay connected, one worker gets all and the others idle. Here a worker takes
one at a time, and lets those go first that hold fewer. How many each holds stands in a file of a
folder that they share; a worker that is gone, or does not come for it, is not waited for long.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("housing")

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder that the workers of one server share; without it there is one worker."""

RETRY_SECONDS = 0.5
PATIENCE = 3
WAIT_SECONDS = 0.002
"""So often, and so long each time, a worker that holds more waits for the others."""


class Connections:
    """How many connections this process holds, and how many each of its fellows."""

    def __init__(self, folder: Path) -> None:
        self.held = 0
        self._folder, self._own = folder, folder / f"{os.getpid()}.held"
        self._file = os.open(self._own, os.O_RDWR | os.O_CREAT, 0o600)
        self._note()

    def change(self, by: int) -> None:
        """One more, or one less."""
        self.held += by
        self._note()

    def close(self) -> None:
        """Hold none, and say so."""
        os.close(self._file)
        self._own.unlink(missing_ok=True)

    def _note(self) -> None:
        os.pwrite(self._file, self.held.to_bytes(4, "little"), 0)

    def first(self) -> bool:
        """Whether nobody who lives holds fewer."""
        for path in self._folder.glob("*.held"):
            if path != self._own and _lives(int(path.stem)) and _read(path) < self.held:
                return False
        return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _read(path: Path) -> int:
    try:
        return int.from_bytes(path.read_bytes(), "little")
    except OSError:
        return 2**31


class Loop(asyncio.SelectorEventLoop):
    """asyncio's loop, whose server takes its share of the connections."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: Connections | None = None
        self._doors: list[_Door] = []

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """As asyncio's; where workers share a folder they share the connections too."""
        server = await super().create_server(protocol_factory, *args, **kwargs)
        folder = os.environ.get(SHARED)
        if folder is not None:
            self.connections = self.connections or Connections(Path(folder))
            for listening in server.sockets:
                self.remove_reader(listening.fileno())
                self._doors.append(_Door(self, listening, protocol_factory, self.connections))
        return server

    def close(self) -> None:
        """Close what was opened here too."""
        for door in self._doors:
            door.close()
        if self.connections is not None:
            self.connections.close()
        super().close()


class _Door:
    """One listening socket of one worker."""

    def __init__(
        self, loop: Loop, listening: Any, factory: Callable[[], Any], connections: Connections
    ) -> None:
        self._loop, self._listening, self._factory = loop, listening, factory
        self._connections = connections
        self._socket = socket.socket(fileno=os.dup(listening.fileno()))
        self._socket.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        if self._listening.fileno() < 0:  # the server has been closed
            self.close()
        elif self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket.fileno(), self._knock)

    def _knock(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._take_or_wait(PATIENCE)

    def _take_or_wait(self, patience: int) -> None:
        if self._listening.fileno() < 0:
            self.close()
        elif patience and not self._connections.first():
            self._loop.call_later(WAIT_SECONDS, self._take_or_wait, patience - 1)
        else:
            self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            self._listen()  # a fellow took it, or its client has left
        except OSError as error:
            log.warning("No connection can be taken just now: %s", error)
            self._loop.call_later(RETRY_SECONDS, self._listen)
        else:
            connection.setblocking(False)
            self._connections.change(1)  # `protocol` says when it ends
            self._loop.create_task(self._enter(connection))
            self._listen()

    async def _enter(self, connection: socket.socket) -> None:
        await self._loop.connect_accepted_socket(self._factory, connection)

    def close(self) -> None:
        """Take no more."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
