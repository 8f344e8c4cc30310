"""Scanners behind a network converter: first bytes kept, every kind of loss seen, RFC 2217 spoken."""

import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial as pyserial
from serial import rfc2217

from devices.port import DeviceState
from devices.serial import transports
from simulators.scanner.lines import TcpLine
from tests.devices.conftest import Rig, open_descriptors, serial

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tcp() -> Iterator[TcpLine]:
    line = TcpLine(greeting=b"8700\r")
    line.plug()
    yield line
    line.unplug()


def test_what_is_sent_at_connect_is_not_lost_20_of_20(rig: Rig, tcp: TcpLine, monkeypatch) -> None:
    watch = transports.watch_link
    # the greeting is already there when the rest of the opening happens
    monkeypatch.setattr(transports, "watch_link", lambda *args: (time.sleep(0.02), watch(*args)))
    rig.online(serial("gate-1", tcp.name, reread_ms=0))
    for count in range(1, 21):
        rig.wait(lambda count=count: len(rig.readings) == count and tcp.clients == 1)
        tcp.unplug("fin-keep")
    rig.wait(lambda: len(rig.readings) == 21)
    assert set(rig.texts) == {"8700"}


def test_pyserials_own_socket_loses_what_is_sent_at_connect(tcp: TcpLine, monkeypatch) -> None:
    """The control of the test above: why the transport is ours."""
    connect = socket.create_connection

    def unhurried(*args: object, **options: object) -> socket.socket:
        line = connect(*args, **options)
        time.sleep(0.02)
        return line

    monkeypatch.setattr(socket, "create_connection", unhurried)
    with pyserial.serial_for_url(tcp.name, timeout=0.1) as port:
        assert port.read(5) == b""


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_closed_or_reset_link_is_seen_at_once_and_comes_back(rig: Rig, tcp: TcpLine, how: str) -> None:
    rig.online(serial("gate-1", tcp.name))
    rig.wait(lambda: rig.readings)
    descriptors = open_descriptors()
    tcp.unplug(how)
    assert rig.wait_for("gate-1", DeviceState.BACKOFF) < 0.2
    tcp.plug()
    rig.wait_for("gate-1", DeviceState.ONLINE, seconds=8)
    rig.wait(lambda: tcp.clients == 1)
    tcp.write(b"8712\r")
    rig.wait(lambda: rig.texts[-1] == "8712")
    assert open_descriptors() <= descriptors + 1
    assert {change.code for change in rig.states} & {"device.closed", "device.reset"}


def test_a_host_that_never_answers_does_not_hold_up_the_stop(rig: Rig) -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(4):  # beyond the backlog a connect gets no answer at all
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(full.getsockname())
        fillers.append(filler)
    rig.apply(serial("gate-1", f"socket://127.0.0.1:{full.getsockname()[1]}"))
    rig.wait_for("gate-1", DeviceState.CONNECTING)
    time.sleep(0.1)
    begun = time.monotonic()
    rig.supervisor.stop()
    assert time.monotonic() - begun < 1
    for held in [*fillers, full]:
        held.close()


def test_a_refused_connection_says_so(rig: Rig, tcp: TcpLine) -> None:
    name = tcp.name
    tcp.unplug()
    rig.apply(serial("gate-1", name))
    rig.wait_for("gate-1", DeviceState.BACKOFF)
    assert rig.supervisor.states()["gate-1"].code == "device.refused"


HALF_OPEN = """
import subprocess, sys, threading, time
from devices.port import DeviceConfig
from devices.serial.driver import SerialDriver
from devices.supervisor import Supervisor
from simulators.scanner.lines import TcpLine

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
line = TcpLine()
line.plug()
readings, states = [], []
supervisor = Supervisor({"serial": SerialDriver}, readings.append, states.append)
supervisor.apply([DeviceConfig("g", "serial", {"port": line.name, "silent_link_s": float(sys.argv[1])})])
while line.clients == 0:
    time.sleep(0.01)
line.write(b"8712\\r")
while not readings:
    time.sleep(0.01)
subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "100%"], check=False) \
    if sys.argv[2] == "loss" else subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
begun = time.monotonic()
while states[-1].state != "backoff" and time.monotonic() - begun < 20:
    time.sleep(0.01)
print(f"{time.monotonic() - begun:.2f} {states[-1].state} {states[-1].code}", flush=True)
supervisor.stop()
"""


def silent_link(seconds: float) -> tuple[float, str, str]:
    """Cut the wire under a link in a network namespace of its own; when and how it was noticed."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs unshare and ip to cut a wire silently")
    answer = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", HALF_OPEN, str(seconds), "down"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "unshare" in answer.stderr:
        pytest.skip("this machine allows no network namespace")
    assert answer.returncode == 0, answer.stderr
    took, state, code = answer.stdout.split()
    return float(took), state, code


def test_a_link_gone_silent_is_noticed_in_the_time_set(rig: Rig) -> None:
    took, state, code = silent_link(3)
    assert (state, code) == ("backoff", "device.silent")
    assert took < 5


@pytest.mark.soak
def test_a_link_gone_silent_is_noticed_within_15_seconds_as_installed() -> None:
    took, state, _ = silent_link(12)
    assert state == "backoff"
    assert took < 15


class Rfc2217Server:
    """A serial port served by pyserial's own RFC 2217 side."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._talk(self._listener.accept()[0])

    def _talk(self, client: socket.socket) -> None:
        def write(data: bytes) -> None:
            client.sendall(data)

        connection = type("Connection", (), {"write": staticmethod(write)})()
        with pyserial.serial_for_url("loop://") as port, client:
            self.manager = rfc2217.PortManager(port, connection)
            self.client = client
            with contextlib.suppress(OSError):
                while data := client.recv(1024):
                    list(self.manager.filter(data))

    def send(self, data: bytes) -> None:
        self.client.sendall(b"".join(self.manager.escape(data)))

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        self._thread.join(2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyserial 3.5 calls Thread.setDaemon
def test_an_rfc2217_port_is_read_lost_and_opened_again(rig: Rig) -> None:
    server = Rfc2217Server()
    rig.online(serial("gate-1", f"rfc2217://127.0.0.1:{server.port}"))
    server.send(b"8712\xff34\r")
    rig.wait(lambda: rig.readings)
    assert rig.readings[0].raw == b"8712\xff34"
    server.drop()
    rig.wait_for("gate-1", DeviceState.BACKOFF)
    rig.wait_for("gate-1", DeviceState.ONLINE)
    server.send(b"8713\r")
    rig.wait(lambda: rig.texts[-1] == "8713")
    begun = time.monotonic()
    rig.supervisor.stop()
    assert time.monotonic() - begun < 2
    server.close()
