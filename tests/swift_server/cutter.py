"""A TCP relay that cuts connections after so many bytes, the first `times` times."""
import contextlib
import socket
import threading


class Cutter:
    """Relay to `port`; `down` bytes from the server, or `up` bytes to it, end a connection `times` times."""

    def __init__(self, port: int):
        self.target, self.times, self.up, self.down, self.cuts = port, 0, None, None, 0
        self._lock = threading.Lock()
        self._listen = socket.create_server(("127.0.0.1", 0))
        self.port = self._listen.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listen.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listen.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink, limit in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._relay, args=(source, sink, limit), daemon=True).start()

    def _relay(self, source, sink, limit):
        seen = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen += len(data)
                with self._lock:
                    most = getattr(self, limit)
                    cut = most is not None and seen > most and self.cuts < self.times
                    self.cuts += cut
                if cut:
                    break
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
