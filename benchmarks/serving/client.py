"""A load generator that costs little itself: raw HTTP/1.1 over kept connections, one process.

`python -m benchmarks.serving.client ADDRESS BODY_FILE SECONDS CONNECTIONS [RATE]` prints JSON.

Without a rate each connection asks again once it is answered (a closed loop): that finds the most
a server can do, and flatters its latency, as a slow answer delays the questions behind it
("coordinated omission"). With a rate, questions are due at a constant pace whether earlier ones
have been answered or not, each goes out on the next free connection, and its time counts from when
it was due.
"""

import json
import selectors
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

WARM_SECONDS = 1.5


@dataclass
class Connection:
    """One kept connection and the question that is under way on it."""

    socket: socket.socket
    due: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def ask(self, request: bytes, due: float) -> None:
        """Send a question that was due at some time."""
        self.due = due
        self.received.clear()
        self.socket.sendall(request)

    def answer(self) -> int | None:
        """Read what has come; the status once the answer is whole."""
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionError("the server hung up")
        self.received += chunk
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.received[:end]).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head[9:12]) if len(self.received) >= end + 4 + length else None


def connected(address: str, number: int) -> list[Connection]:
    """Connections without Nagle's algorithm."""
    parts = urlsplit(address)
    found = []
    for _ in range(number):
        opened = socket.create_connection((parts.hostname, parts.port), timeout=60)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.append(Connection(opened))
    return found


def load(
    connections: list[Connection], request: bytes, seconds: float, rate: float | None
) -> tuple[list[float], list[int], float]:
    """Seconds from due to answered, statuses, and how long it took in all."""
    times: list[float] = []
    statuses: list[int] = []
    began = time.perf_counter()
    until = began + seconds
    sent = 0
    free = deque(connections)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        while True:
            now = time.perf_counter()
            while free:
                due = now if rate is None else began + sent / rate
                if due > now or due >= until:
                    break
                free.popleft().ask(request, due)
                sent += 1
            under_way = len(connections) - len(free)
            following = now if rate is None else began + sent / rate
            if following >= until and not under_way:
                return times, statuses, time.perf_counter() - began
            # Timers are coarser than the pace: within a millisecond of it look, do not sleep.
            pause = following - now - 0.001 if free and following < until else 60.0
            for key, _ in selector.select(max(pause, 0.0)):
                status = key.data.answer()
                if status is not None:
                    times.append(time.perf_counter() - key.data.due)
                    statuses.append(status)
                    free.append(key.data)


def main() -> None:
    """Warm up, ask, print."""
    address, file, seconds, number, *rate = sys.argv[1:]
    body, parts = Path(file).read_bytes(), urlsplit(address)
    request = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    pace = float(rate[0]) if rate else None
    connections = connected(address, int(number))
    load(connections, request, WARM_SECONDS, pace)
    before = time.process_time()
    times, statuses, wall = load(connections, request, float(seconds), pace)
    cpu = time.process_time() - before
    times.sort()
    found = {
        "requests_per_second": len(times) / wall,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
        "failed": sum(status != 200 for status in statuses),
        "requests": len(times),
        "client_cores": cpu / wall,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
