"""A small SOAP mapping and the replies a peer may give to it, for the soap adapter's tests on the wire."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

from core.clock import SHANGHAI
from his.port import PayMethod, TopUpOrder
from his.soap import SoapAdapter, SoapOptions

RARE = "\U00020bb7田\u4dae"
SMALL = """
vendor: small
transport: {namespace: "urn:his", header: {Auth: {token: {secret: token}}}, faults: {Denied: unauthorized, Busy: not_accepted}}
envelope: {code: returnCode, message: returnDesc, data: Items.Item}
codes: {ok: ["1"], not_found: ["0"], rejected: {"-1": other}, reason_path: errCode, unreasoned: exception,
        reasons: {BALANCE: balance_short}, shortfall: lackCost}
formats: {money: yuan}
tables: {Sex: {"1": male}}
types:
  Patient: {patient_id: patientNo, name: patientName, sex: sexCode, birth_date: birthday, cards: Cards.Card}
  PatientCard: {card_no: cardNo}
  Balance: {patient_id: patientNo, balance_fen: leftCost}
  TopUp: {his_txn_no: transNo, patient_id: patientNo, amount_fen: totCost}
operations:
  query_patient: {send: {operation: GetPatient}, request: {cardNo: $card_no, patientNo: $patient_id}}
  balance: {send: {operation: GetBalance}, request: {patientNo: $patient_id}}
  top_up:
    send: {operation: SaveCharge, style: input}
    request: {opKey: $op_key, patientNo: $patient_id, totCost: $amount_fen, tradeNo: $provider_trade_no}
"""


def small(
    path: Path, url: str = "http://127.0.0.1:9", change: tuple[str, str] = ("", ""), **options: object
) -> SoapAdapter:
    """An adapter over SMALL, one text of it changed; written to `path`."""
    path.write_text(SMALL.replace(*change, 1) if change[0] else SMALL, "utf-8")
    given = {"url": f"{url}/His.asmx", "mapping": str(path), "token": "s<e>&cret", **options}
    return SoapAdapter(SoapOptions.model_validate(given))


def wrapped(body: str, soap: str = "http://schemas.xmlsoap.org/soap/envelope/", encoding: str = "utf-8") -> str:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?><s:Envelope xmlns:s="{soap}"><s:Body>{body}</s:Body></s:Envelope>'
    )


def answered(inner: str, operation: str = "GetPatient", **how: str) -> str:
    """A whole reply; `inner` escaped in it."""
    held = f"<{operation}Result>{escape(inner)}</{operation}Result>"
    return wrapped(f'<{operation}Response xmlns="urn:his">{held}</{operation}Response>', **how)


def response(body: bytes | str, status: int = 200, media: str = "text/xml; charset=utf-8") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def patient(name: str = "王小明", cards: str = "<Card><cardNo>1</cardNo></Card>", head: str = "") -> str:
    return (
        f"<Response{head}><returnCode>1</returnCode><returnDesc>成功</returnDesc><Items><Item><patientNo>P1</patientNo>"
        f"<patientName>{escape(name)}</patientName><sexCode>1</sexCode><birthday>1985-03-12</birthday>"
        f"<Cards>{cards}</Cards></Item></Items></Response>"
    )


def order(trade_no: str = "T1") -> TopUpOrder:
    return TopUpOrder("k1", "P1", "1", 1234, PayMethod.WECHAT, trade_no, datetime(2026, 11, 24, 8, tzinfo=SHANGHAI))
