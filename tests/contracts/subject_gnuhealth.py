"""`gnuhealth` against GNU Health 5.0.6 itself."""

from pathlib import Path

import pytest

from his.gateway import Gateway
from his.gnuhealth import OPTIONS, make
from his.port import Op
from tests.contracts.subject import Facts, Person, Stay, Subject
from tests.support.gnuhealth import RARE, GnuHealth, gnuhealth, times, tomorrow

ID_NO = "110101196001010017"


def start(_folder: Path) -> Subject:
    """The dump's hospital, with free times for tomorrow and people of a crowd."""
    server = gnuhealth()
    if isinstance(server, str):
        pytest.skip(server)
    server.free(times(tomorrow(), 8, 45))
    server.free(times(tomorrow(), 13, 45))
    [who] = server.call("model.gnuhealth.patient.search_read", [["puid", "=", "DEMO0000"]], 0, 1, None, ["party"], {})
    national = [["create", [{"alternative_id_type": "country_id", "code": ID_NO}]]]
    server.call(
        "model.party.party.write", [who["party"]], {"alternative_identification": True, "alternative_ids": national}, {}
    )
    server.person("RARE0001", *RARE, id_no="110101199002030022")
    armed = Armed(server)
    people = [
        one["puid"] for one in server.call("model.gnuhealth.patient.search_read", [], 0, None, None, ["puid"], {})
    ]
    return Subject(
        "gnuhealth",
        Gateway(make(OPTIONS.model_validate(server.options), armed.step)),
        Facts(
            patient=Person("DEMO0000", "DEMO0000"), name="测试患者0", id_no=ID_NO, absent_patient_id="DEMO9999",
            absent_card_no="DEMO9999", rare=(Person("RARE0001", "RARE0001"), "".join(RARE)),
            other=Person("DEMO0002", "DEMO0002"), report_no="TEST001",
            stay=Stay("DEMO0000", "INPAC001", 1), crowd=tuple(Person(puid, puid) for puid in people),
        ),
        close=server.thaw,
        freeze=server.freeze,
        thaw=armed.thaw,
        freeze_at_write=armed.arm,
        rows=lambda op: len(server.rows([["state", "!=", "free"]], ["id"])) if op is Op.BOOK else 0,
    )  # fmt: skip


class Armed:
    """Stops the server when a write is about to leave: everything before that are reads."""

    def __init__(self, server: GnuHealth) -> None:
        self._server = server
        self._armed = False

    def arm(self) -> None:
        self._armed = True

    def step(self, _name: str) -> None:
        if self._armed:
            self._armed = False
            self._server.freeze()

    def thaw(self) -> None:
        self._armed = False
        self._server.thaw()
