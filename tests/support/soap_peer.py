"""A SOAP server that nobody here wrote (npm soap) with our WSDLs: the vendor's shape, and a typed service."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from simulators.his.wsdl import wsdl
from tests.support.npm import installed

PACKAGES = ("soap@1.13.0",)
PEERS = Path(__file__).resolve().parent / "peers"
TOKEN = "token-of-tests"
TYPED_WSDL = PEERS / "typed.wsdl"
TYPED = """
vendor: a typed service
transport: {style: zeep, namespace: "urn:typed:his", inner: false, result: .}
envelope: {code: code, data: patient}
codes: {ok: [OK], not_found: [NONE]}
types:
  Patient: {patient_id: patientNo, birth_date: born, cards: cards.card}
  PatientCard: {card_no: "no"}
  Balance: {patient_id: patientNo, balance_fen: {path: balance, money: yuan}}
operations:
  query_patient:
    send: {operation: GetPatient}
    request: {hospital: H01, query: {key: card, value: $card_no}}
  balance:
    send: {operation: GetPatient}
    request: {hospital: H01, query: {key: no, value: $patient_id}}
"""


@dataclass
class SoapPeer:
    """A running one."""

    port: int
    wsdl: Path
    proc: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Of the vendor-shaped service."""
        return f"http://127.0.0.1:{self.port}/soap/HisService.asmx"

    @property
    def typed_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/typed"

    def seen(self) -> list[dict[str, Any]]:
        """Every call so far: name and arguments as the server understood them."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/seen")
            calls: list[dict[str, Any]] = json.loads(connection.getresponse().read())
            return calls
        finally:
            connection.close()

    def stop(self) -> None:
        self.proc.kill()
        self.proc.wait()


def start_soap(folder: Path) -> SoapPeer | str:
    """Start it on a free port; or the reason why there is none."""
    modules = installed("soap", PACKAGES)
    if isinstance(modules, str):
        return modules
    ready, described = folder / "soap.ready", folder / "his.wsdl"
    described.write_bytes(wsdl("http://127.0.0.1/soap/HisService.asmx"))
    command = ["node", str(PEERS / "soap_server.cjs"), str(modules / "node_modules"), str(ready)]
    proc = subprocess.Popen([*command, str(described), str(TYPED_WSDL)])
    until = time.monotonic() + 60
    while not ready.exists() or not ready.read_text("utf-8"):
        if proc.poll() is not None or time.monotonic() > until:
            proc.kill()
            proc.wait()
            return "npm soap does not start"
        time.sleep(0.02)
    return SoapPeer(int(ready.read_text("utf-8")), described, proc)
