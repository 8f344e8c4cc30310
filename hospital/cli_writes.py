"""`hospital his intents`, `hospital his settle` and `hospital jobs`: writes to the HIS as IT and the cashier see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from core.errors import ConfigError
from hospital.cli_base import CONFIG, parts_of, plainly
from store.port_his import FINAL_STATES, Decision, Intent, IntentState

WHYS = {
    "not_found": "HIS 反复回答没有这一笔 / the HIS says again and again that it has no such thing",
    "cannot_be_asked": "HIS 没有查询接口 / this HIS cannot be asked about it",
    "unreadable": "本系统读不出当时的内容 / what was kept of it cannot be read any more",
    "timeout": "HIS 没有按时回应,正在查询 / the HIS did not answer in time, it is being asked",
    "no_answer": "HIS 没有回应,正在查询 / the HIS did not answer, it is being asked",
    "not_found_yet": "HIS 暂无这一笔,可能稍后入账 / not in the HIS yet, it may still land",
}
"""`Intent.why` for people; any other word is a reason of the guard (docs/operator.md)."""
UNSETTLED = tuple(state for state in IntentState if state not in FINAL_STATES)


@click.command()
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in IntentState]),
    help="Only these; without it everything that is not settled.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Lines at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@CONFIG
@plainly
def intents(states: tuple[str, ...], limit: int, as_json: bool, config_path: Path) -> None:
    """Writes to the HIS: who, when, what (masked), why it is where it is; the human list is --state manual."""
    wanted = {IntentState(state) for state in states} or set(UNSETTLED)
    with parts_of(config_path) as parts:
        found = parts.store.intents.listed(wanted, limit)
    for intent in found:
        row = _row(intent)
        click.echo(json.dumps(row, ensure_ascii=False) if as_json else _lines(row))
    if not as_json:
        click.echo(f"{len(found)} writes")


def _row(intent: Intent) -> dict[str, Any]:
    row: dict[str, Any] = {
        "op_key": intent.op_key, "op": intent.op, "state": intent.state.value,
        "since": intent.created_at.isoformat(timespec="seconds"), "actor": intent.actor,
        "patient_id": intent.patient_id, "asked": intent.tries, "why": intent.why, "what": _what(intent),
    }  # fmt: skip
    if intent.next_try is not None:
        row["next"] = intent.next_try.isoformat(timespec="seconds")
    if intent.decided_by:
        row |= {"decided_by": intent.decided_by, "decided_why": intent.decided_why, "his_txn_no": intent.his_txn_no}
    return row


def _what(intent: Intent) -> Any:
    from his.masking import masked
    from his.port import BY_OP, Op, decode

    try:
        return json.loads(masked(decode(BY_OP[Op(intent.op)], intent.payload)))
    except ValueError:
        return "[unreadable]"


def _lines(row: dict[str, Any]) -> str:
    lines = [
        f"{row['op_key']}\t{row['op']}\t{row['state']}\t{row['since']}\tpatient {row['patient_id'] or '-'}\tby {row['actor'] or '-'}"
    ]
    lines.append(f"    what: {json.dumps(row['what'], ensure_ascii=False)}")
    if row["why"]:
        lines.append(f"    why:  {WHYS.get(row['why'], row['why'])}")
    if "next" in row:
        lines.append(f"    asked {row['asked']} times, next at {row['next']}")
    if "decided_by" in row:
        lines.append(f"    decided by {row['decided_by']}: {row['decided_why']} {row['his_txn_no']}".rstrip())
    return "\n".join(lines)


@click.command()
@click.argument("op_key")
@click.option("--done", "his_txn_no", metavar="HIS_TXN_NO", help="It is in the HIS, under this number.")
@click.option("--not-done", is_flag=True, help="It is not in the HIS and will not be.")
@click.option("--by", required=True, help="Who found out.")
@click.option("--why", required=True, help="How: what was looked at, who was asked.")
@CONFIG
@plainly
def settle(op_key: str, his_txn_no: str | None, not_done: bool, by: str, why: str, config_path: Path) -> None:
    """Write down what became of the write OP_KEY, after looking in the HIS. Nothing is sent; it cannot be undone."""
    done = his_txn_no is not None
    if done == not_done:
        raise ConfigError("say either --done with the HIS's number of it, or --not-done", key="--done")
    for name, value in (("--by", by), ("--why", why), *((("--done", his_txn_no or ""),) if done else ())):
        if not value.strip():
            raise ConfigError("must not be empty", key=name)
    with parts_of(config_path) as parts:
        decision = Decision(done, (his_txn_no or "").strip(), by.strip(), why.strip(), parts.clock.now())
        settled = parts.store.intents.decide(op_key, decision)
        kept = parts.store.intents.get(op_key)
    if settled is not None:
        click.echo(f"{op_key} is {settled.state.value}, by {settled.decided_by}")
    elif kept is None:
        raise ConfigError(f"there is no write {op_key}; see `hospital his intents`", key="OP_KEY")
    else:
        raise ConfigError(f"{op_key} is {kept.state.value}: only unknown and manual ones are settled", key="OP_KEY")


@click.command()
@CONFIG
@plainly
def jobs(config_path: Path) -> None:
    """Run the background jobs alone, where no hub runs: find out what became of unclear writes, sweep the call log."""
    from hospital.write_jobs import run_jobs

    run_jobs(config_path)
