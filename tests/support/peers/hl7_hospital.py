"""A small hospital that speaks HL7 v2.5: hl7_hospital.py PORT FOLDER. Patients, visits, appointments, payments.

hl7apy carries and parses the messages, nothing of ours does. A control id it has seen is answered as before and booked
once (FOLDER/rows.tsv: operation, number, patient). Any slot may be asked for and holds one person.
"""

import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])
lock = threading.Lock()
answered: dict[str, str] = {}
people: list[dict[str, str]] = []
visits: dict[str, dict[str, str]] = {}
bookings: dict[str, dict[str, str]] = {}


def seed() -> None:
    names = ("王小明", "李秀英", "\U00020bb7田\u4dae", *(f"患者{n}" for n in range(4, 121)))
    for n, name in enumerate(names, 1):
        card, id_no = str(600_000_000_000 + 17 * n), f"9901011985031{n:05d}"
        people.append({"id": f"P{n:07d}", "card": card, "id_no": id_no, "name": name, "born": "19850312", "sex": "M"})
    people.append({**people[9], "id": "P0000900", "card": "600000099999"})  # twins to the query by ID number


class Reply:
    """ER7 of one answer."""

    def __init__(self, kind: str, control_id: str) -> None:
        now = f"{datetime.now().astimezone():%Y%m%d%H%M%S%z}"
        self.lines = [f"MSH|^~\\&|HIS|RENHE|PALM||{now}||{kind}|R{control_id[1:]}|P|2.5||||||UNICODE UTF-8"]
        self.control_id = control_id

    def yes(self, *lines: str) -> str:
        return self._end("AA", lines)

    def no(self, code: str, text: str) -> str:
        return self._end("AE", (f"ERR|||{code}^{text}^HL70357|E||||{text}",))

    def _end(self, code: str, lines: tuple[str, ...]) -> str:
        return "\x0b" + "\r".join([*self.lines, f"MSA|{code}|{self.control_id}", *lines]) + "\r\x1c\r"


def pid(person: dict[str, str], n: int = 1) -> str:
    numbers = f"{person['id']}^^^HIS^PI~{person['card']}^^^HIS^HC~{person['id_no']}^^^GOV^{person.get('kind', 'NI')}"
    return f"PID|{n}||{numbers}||{person['name']}||{person['born']}|{person['sex']}|||||19900000001^PRN^CP"


def add_row(op: str, number: str, patient: str) -> None:
    with (FOLDER / "rows.tsv").open("a", encoding="utf-8") as book:
        book.write(f"{op}\t{number}\t{patient}\n")


class Hospital(AbstractHandler):
    """One message; under the lock, so that a slot is given once."""

    def reply(self) -> str:
        message = parse_message(self.incoming_message, find_groups=False)
        control_id = message.msh.msh_10.to_er7()
        with lock:
            with (FOLDER / "calls.txt").open("a", encoding="utf-8") as log:
                log.write(f"{control_id}\n")
            if control_id not in answered:
                event = message.msh.msh_9.msg_2.to_er7()
                answered[control_id] = getattr(self, event)(message, control_id)
            return answered[control_id]

    def Q22(self, message, control_id: str) -> str:
        asked = dict(one.to_er7().split("^")[:2] for one in message.qpd.qpd_3)
        wanted, kind = asked["@PID.3.1"], asked.get("@PID.3.5", "PI")
        key = {"PI": "id", "HC": "card"}.get(kind, "id_no")
        found = [one for one in people if one[key] == wanted and (key != "id_no" or one.get("kind", "NI") == kind)]
        reply = Reply("RSP^K22^RSP_K21", control_id)
        tag = message.qpd.qpd_2.to_er7()
        lines = [f"QAK|{tag}|{'OK' if found else 'NF'}|Q22|{len(found)}", message.qpd.to_er7()]
        return reply.yes(*lines, *(pid(one, n) for n, one in enumerate(found, 1)))

    def A28(self, message, control_id: str) -> str:
        reply = Reply("ACK^A28^ACK", control_id)
        id_no = message.pid.pid_3[0].cx_1.to_er7()
        if any(one["id_no"] == id_no for one in people):
            return reply.no("205", "has a card")
        number = len(people) + 1000
        name = message.pid.pid_5.to_er7()
        people.append(
            {"id": f"P{number:07d}", "card": str(600_000_000_000 + 17 * number), "id_no": id_no, "name": name,
             "born": message.pid.pid_7.to_er7(), "sex": message.pid.pid_8.to_er7(),
             "kind": message.pid.pid_3[0].cx_5.to_er7()}
        )  # fmt: skip
        add_row("create_card", id_no, people[-1]["id"])
        return reply.yes()

    def A04(self, message, control_id: str) -> str:
        reply = Reply("ACK^A04^ACK", control_id)
        zph, patient = segment(self.incoming_message, "ZPH"), message.pid.pid_3[0].cx_1.to_er7()
        return taken(reply, visits, zph[1], (zph[2], zph[3]), patient, "register") or reply.yes()

    def A11(self, message, control_id: str) -> str:
        number = message.pv1.pv1_19.cx_1.to_er7()
        return gone(Reply("ACK^A11^ACK", control_id), visits, number, message.pid.pid_3[0].cx_1.to_er7())

    def S01(self, message, control_id: str) -> str:
        reply = Reply("SRR^S01^SRR_S01", control_id)
        zph, patient = segment(self.incoming_message, "ZPH"), message.pid.pid_3[0].cx_1.to_er7()
        number = f"AP{len(bookings) + 1:06d}"
        refused = taken(reply, bookings, number, (zph[2], zph[3]), patient, "book")
        at = datetime.now().astimezone().replace(hour=1, minute=0) + timedelta(days=1)
        return refused or reply.yes(f"SCH|{zph[1]}|{number}|||||||15|min|^^15^{at:%Y%m%d%H%M%S%z}")

    def S04(self, message, control_id: str) -> str:
        number = message.arq.arq_2.ei_1.to_er7()
        return gone(Reply("SRR^S04^SRR_S01", control_id), bookings, number, message.pid.pid_3[0].cx_1.to_er7())

    def P03(self, message, control_id: str) -> str:
        ft1 = message.ft1
        amount = ft1.ft1_11.to_er7().split("&")[0]
        kind = {"TOPUP": "top_up", "PREPAY": "pay_prepayment"}[ft1.ft1_7.to_er7().split("^")[0]]
        add_row(kind, amount, message.pid.pid_3[0].cx_1.to_er7())
        return Reply("ACK^P03^ACK", control_id).yes(f"ZTX|TX{len(answered):06d}")


def segment(text: str, name: str) -> list[str]:
    line = next((line for line in text.split("\r") if line.startswith(name)), name)
    return [*line.split("|"), *[""] * 10]


def taken(reply: Reply, held: dict, number: str, slot: tuple[str, str], patient: str, op: str) -> str:
    if any(one["slot"] == slot and one["state"] == "held" for one in held.values()):
        return reply.no("FULL", "slot taken")
    held[number] = {"slot": slot, "patient": patient, "state": "held"}
    add_row(op, number, patient)
    return ""


def gone(reply: Reply, held: dict, number: str, patient: str) -> str:
    if number not in held or held[number]["patient"] != patient:
        return reply.no("204", "unknown")
    if held[number]["state"] != "held":
        return reply.no("LATE", "already cancelled")
    held[number]["state"] = "cancelled"
    return reply.yes()


KINDS = (
    "QBP^Q22^QBP_Q21", "ADT^A28^ADT_A05", "ADT^A04^ADT_A01", "ADT^A11^ADT_A09", "SRM^S01^SRM_S01", "SRM^S04^SRM_S01",
    "DFT^P03^DFT_P03",
)  # fmt: skip
seed()
MLLPServer.request_queue_size = 64
server = MLLPServer("127.0.0.1", PORT, dict.fromkeys(KINDS, (Hospital,)))
print("ready", flush=True)
server.serve_forever()
