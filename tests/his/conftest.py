"""One simulated HIS for the room's tests, and a peer that says exactly what a test tells it to."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from his.gateway import Gateway
from his.guard import GuardOptions
from his.rest import RestAdapter, RestOptions
from his.soap import SoapAdapter
from tests.support.sims import HisSim, start_his
from tests.support.small_soap import small


@pytest.fixture(scope="session")
def _his_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    sim = start_his(tmp_path_factory.mktemp("his"))
    yield sim
    sim.stop()


@pytest.fixture
def sim(_his_process: HisSim) -> Iterator[HisSim]:
    """The shared simulator, well again after each test."""
    yield _his_process
    _his_process.fault("none")


@pytest.fixture
def make_his(sim: HisSim) -> Iterator[Callable[..., Gateway]]:
    """Adapters on the simulator (or another base_url), closed afterwards."""
    made: list[Gateway] = []

    def make(guard: GuardOptions | None = None, **options: object) -> Gateway:
        adapter = RestAdapter(RestOptions.model_validate({"base_url": sim.url, "token": sim.token, **options}))
        made.append(Gateway(adapter, guard))
        return made[-1]

    yield make
    for his in made:
        his.close()


class Peer:
    """Answers the n-th request (over all connections) with the n-th script, then closes if told so."""

    def __init__(self, *scripts: bytes, close_after: bool = False) -> None:
        self._scripts = list(scripts)
        self._close_after = close_after
        self.asked = 0
        self.requests: list[bytes] = []
        self.connected = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connected += 1
            self._open.append(sock)
            self._threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with closing(sock):
            try:
                while request := sock.recv(65536):
                    while b"\r\n\r\n" not in request:
                        request += sock.recv(65536)
                    head, _, body = request.partition(b"\r\n\r\n")
                    size = next(
                        (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
                    )
                    while len(body) < size:
                        body += sock.recv(65536)
                    with self._lock:
                        self.asked += 1
                        self.requests.append(head + b"\r\n\r\n" + body)
                        script = self._scripts.pop(0) if self._scripts else b""
                    sock.sendall(script)
                    if self._close_after or not script:
                        return
            except OSError:
                return

    def close(self) -> None:
        """Stop listening, drop everybody, wait for the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def make_peer() -> Iterator[Callable[..., Peer]]:
    """Scripted peers, closed afterwards."""
    made: list[Peer] = []

    def make(*scripts: bytes, close_after: bool = False) -> Peer:
        made.append(Peer(*scripts, close_after=close_after))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


@pytest.fixture
def make_soap(tmp_path: Path) -> Iterator[Callable[..., SoapAdapter]]:
    """Adapters over the small SOAP mapping, closed afterwards."""
    made: list[SoapAdapter] = []

    def make(*given: object, **options: object) -> SoapAdapter:
        made.append(small(tmp_path / f"small{len(made)}.yaml", *given, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def soap_asking(
    make_soap: Callable[..., SoapAdapter], make_peer: Callable[..., Peer]
) -> Callable[..., tuple[Gateway, Peer]]:
    """A gateway on a peer that says these replies, one after the other."""

    def start(*scripts: bytes, **options: object) -> tuple[Gateway, Peer]:
        peer = make_peer(*scripts)
        return Gateway(make_soap(peer.url, **options), GuardOptions(attempts=1, fail_max=10_000)), peer

    return start
