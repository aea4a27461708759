"""HTTP connections that may not dawdle: a header that does not arrive in time ends its connection.

uvicorn bounds idle connections and the size of a header, not the time that a header takes; a
few hundred clients that send one byte a minute would else hold every connection.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class HeaderTimeoutProtocol(H11Protocol):
    """uvicorn's protocol, closed when a header takes longer than `header_seconds`."""

    def __init__(self, *args: Any, header_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_seconds = header_seconds
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The first header is due."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """A part of a header or of a body."""
        asked = self.cycle
        super().data_received(data)
        if self.cycle is not asked:  # a header is complete
            self._stop()
        elif self._clock is None and (asked is None or asked.response_complete):
            self._start()  # the beginning of another header on the same connection

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._clock = self.loop.call_later(self._header_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
