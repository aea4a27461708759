"""A load generator that costs little itself: raw HTTP/1.1 over kept connections, in one process.

`python -m benchmarks.serving.client URL PATH BODY_FILE SECONDS CONNECTIONS` prints JSON. A client
library would take more of the two cores than the server does.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


async def _connection(host: str, port: int, request: bytes, until: float, seen: list) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while (began := time.perf_counter()) < until:
        status = await _ask(reader, writer, request)
        seen.append((time.perf_counter() - began, status))
    writer.close()


async def _load(url: str, path: str, body: bytes, seconds: float, connections: int) -> dict:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    warm: list = []
    await asyncio.gather(
        *(
            _connection(parts.hostname, parts.port, request, time.perf_counter() + 1.5, warm)
            for _ in range(connections)
        )
    )
    seen: list = []
    began = time.perf_counter()
    await asyncio.gather(
        *(
            _connection(parts.hostname, parts.port, request, began + seconds, seen)
            for _ in range(connections)
        )
    )
    wall = time.perf_counter() - began
    times = sorted(t for t, _ in seen)
    return {
        "requests_per_second": len(times) / wall,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
        "failed": sum(status != 200 for _, status in seen),
        "requests": len(times),
    }


if __name__ == "__main__":
    url, path, file, seconds, connections = sys.argv[1:]
    content = Path(file).read_bytes()
    print(json.dumps(asyncio.run(_load(url, path, content, float(seconds), int(connections)))))
