"""How a write is booked: one transaction for what it changes and for its op_key with the answer it was given."""

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulators.his.answers import Data, Duplicate, NoData, Refused, text

if TYPE_CHECKING:
    from simulators.his.world import World

KEY_CAP = 32


def book(world: "World", op: str, run: Callable[["World", Data], Data], asked: Data) -> Data:
    """Carry out a write once per op_key; Duplicate when it is booked, Refused KEY when the key is another write's."""
    op_key = text(asked, "op_key")
    if len(op_key) > KEY_CAP:
        raise ValueError("op_key")
    payload = {key: value for key, value in asked.items() if key != "op_key"}
    digest = hashlib.sha256(json.dumps([op, payload], sort_keys=True).encode()).hexdigest()
    world.today()
    world.db.execute("BEGIN IMMEDIATE")
    try:
        held = world.rows("SELECT payload_hash FROM op_log WHERE op_key = ? ORDER BY copy", op_key)
        if held and world.dedup:
            if held[0]["payload_hash"] != digest:
                raise Refused("KEY", "该流水号已用于其他请求")
            raise Duplicate
        world.repeat = bool(held)
        answer = run(world, asked)
        world.db.execute(
            "INSERT INTO op_log (op, op_key, copy, payload_hash, answer, at) VALUES (?,?,?,?,?,?)",
            (op, op_key, len(held), digest, json.dumps(answer, ensure_ascii=False), world.wall()),
        )
    except BaseException:
        world.db.execute("ROLLBACK")
        raise
    finally:
        world.repeat = False
    world.db.execute("COMMIT")
    if op == "create_card":
        world.load_patients(answer["patient"]["patient_id"])
    return answer


def query_op(world: "World", asked: Data) -> Data:
    """The status query: what a booked write answered; no data when nothing is booked under this op_key now."""
    row = world.one("SELECT op_key, op, at, answer FROM op_log WHERE op_key = ? AND copy = 0", text(asked, "op_key"))
    if row is None or asked.get("op") not in (None, "", row["op"]):
        raise NoData
    return {**row, "answer": json.loads(row["answer"])}
