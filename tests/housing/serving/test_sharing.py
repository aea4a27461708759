"""Workers share the connections of clients that stay, whoever of them is gone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from housing.serving.sharing import Connections
from tests.housing.serving.conftest import Started, until


def _held(port: int) -> dict[int | None, int]:
    """Connections by process."""
    found: dict[int | None, int] = {}
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_ESTABLISHED and one.laddr and one.laddr.port == port:
            found[one.pid] = found.get(one.pid, 0) + 1
    return found


def test_each_of_two_workers_gets_half_of_the_connections(served: Started, own_home: Path) -> None:
    with served("--workers", "2", TMPDIR=str(own_home)) as address:
        until(lambda: len(list(own_home.glob("housing-metrics-*/*.held"))) == 2)
        port = int(address.rpartition(":")[2])
        until(lambda: not _held(port))  # the fixture's own have closed
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
        try:
            until(lambda: sum(_held(port).values()) == 10)
            assert sorted(_held(port).values()) == [5, 5]
        finally:
            for client in clients:
                client.close()
        until(lambda: not _held(port))


def test_a_worker_lets_go_first_who_holds_fewer_and_lives(tmp_path: Path) -> None:
    mine = Connections(tmp_path)
    assert mine.first()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as fellow:
        (tmp_path / f"{fellow.pid}.held").write_bytes((1).to_bytes(4, "little"))
        mine.change(1)
        assert mine.first()  # as many
        mine.change(1)
        assert not mine.first()
        fellow.communicate(b"\n")
    assert mine.first()  # the fellow is gone
    mine.close()
    assert not (tmp_path / f"{os.getpid()}.held").exists()
