"""An HL7 v2 receiver built on PyPI hl7apy's MLLPServer; see mllp_receiver.cjs for its book: mllp_hl7apy.py PORT BOOK

It closes the connection after every answer.
"""

import datetime
import sys
import threading
from pathlib import Path

from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

PORT, BOOK = int(sys.argv[1]), Path(sys.argv[2])
seen = {line.split("\t")[0] for line in BOOK.read_text("utf-8").splitlines()} if BOOK.exists() else set()
lock = threading.Lock()


class Taker(AbstractHandler):
    """Books and answers."""

    def reply(self) -> str:
        message = parse_message(self.incoming_message, find_groups=False)
        control_id = message.msh.msh_10.to_er7()
        zph = next((line for line in self.incoming_message.split("\r") if line.startswith("ZPH")), "ZPH").split("|")
        business = zph[7] if len(zph) > 7 else ""
        with lock:
            with Path(f"{BOOK}.handled").open("a", encoding="utf-8") as log:
                log.write(control_id + "\n")
            if control_id not in seen:
                seen.add(control_id)
                with BOOK.open("a", encoding="utf-8") as book:
                    book.write(f"{control_id}\t{business}\n")
        code = business[:2] if business[:2] in ("AE", "AR") else "AA"
        now = datetime.datetime.now().astimezone()
        msh = f"MSH|^~\\&|HIS||PALM||{now:%Y%m%d%H%M%S}||ACK|A{control_id[:19]}|P|2.5"
        return f"\x0b{msh}\rMSA|{code}|{control_id}\r\x1c\r"


KINDS = ("ADT^A04^ADT_A01", "ADT^A28^ADT_A05", "ADT^A11^ADT_A09", "DFT^P03^DFT_P03")
MLLPServer.allow_reuse_address = True
server = MLLPServer("127.0.0.1", PORT, dict.fromkeys(KINDS, (Taker,)))
print("ready", flush=True)
server.serve_forever()
