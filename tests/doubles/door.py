"""A door before a real server of this machine's, which a test shuts in the ways that servers fail."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Literal

Mode = Literal["open", "closed", "frozen", "errors", "drips"]
"""Passed on; the port is gone; connections are taken and nothing comes back; every answer is a 503;
the answer comes a byte at a time and never ends."""

_ERROR = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Door:
    """Passes connections on to `port` of this machine, until `mode` says otherwise."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.mode: Mode = "open"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._listener.getsockname()[1])
        self.taken = 0
        """How many connections have been made."""
        self.done = 0
        """How many of them the clients have closed again while the door was open."""
        self._connections: list[socket.socket] = []
        self._held: list[socket.socket] = []

    def __enter__(self) -> Door:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shut("closed")
        for connection in self._held:
            connection.close()

    def shut(self, mode: Mode) -> None:
        """From now on so; connections that are open feel it too."""
        self.mode = mode
        if mode == "closed":
            # A listener that another thread waits at goes away when it is woken.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        if mode in ("closed", "errors"):
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.mode == "frozen":
                self._held.append(client)
            elif self.mode == "errors":
                client.recv(1 << 16)
                client.sendall(_ERROR)
                client.close()
            elif self.mode == "drips":
                self._drip(client)
            else:
                behind = socket.create_connection(("127.0.0.1", self._behind))
                self._connections += [client, behind]
                threading.Thread(target=self._pass_on, args=[behind, client], daemon=True).start()
                self._pass_on(client, behind)
                self.done += 1

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                while self.mode in ("frozen", "drips"):
                    time.sleep(0.05)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _drip(self, client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-more: ")
        while self.mode == "drips":
            client.sendall(b"x")
            time.sleep(0.3)
