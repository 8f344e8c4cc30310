"""Money where FHIR can say it exactly: Invoices whose payer is named, billable ChargeItems that carry their price."""

from datetime import datetime
from decimal import Decimal

from his.faults import Broken
from his.fhir.client import FhirClient, Resource
from his.fhir.elements import fen, moment, objects, one, ref_id, reference, required, text, words
from his.fhir.people import People
from his.fhir.stays import Stays
from his.port import ChargeItem, Invoice, InvoicesQuery, PendingCharges, PendingChargesQuery

ISSUED = ("issued", "balanced")


class Charges:
    """Reads charges; thread-safe."""

    def __init__(self, client: FhirClient, people: People, stays: Stays) -> None:
        self._client = client
        self._people = people
        self._stays = stays

    def invoices(self, query: InvoicesQuery, deadline: float) -> tuple[Invoice, ...]:
        """Issued invoices, newest first; of one stay those on one of its accounts."""
        mine = self._people.resource_id(query.patient_id, deadline)
        params = {"subject": f"Patient/{mine}", "status": ",".join(ISSUED)}
        found = [it for it in self._client.search("Invoice", params, deadline)
                 if text(it, "status") in ISSUED and ref_id(one(it, "subject"), "Patient") == mine]  # fmt: skip
        if query.admission_no:
            stays = self._stays.encounters(query.admission_no, mine, deadline)
            accounts = {ref_id(ref, "Account") for stay in stays for ref in objects(stay, "account")} - {""}
            found = [it for it in found if ref_id(one(it, "account"), "Account") in accounts]
        return tuple(sorted(map(_invoice, found), key=lambda it: it.issued_at, reverse=True))

    def pending(self, query: PendingChargesQuery, deadline: float) -> PendingCharges:
        """Billable items; one whose price the item does not carry makes the whole bill unsayable."""
        mine = self._people.resource_id(query.patient_id, deadline)
        found = self._client.search("ChargeItem", {"subject": f"Patient/{mine}"}, deadline)
        ours = [
            it for it in found if text(it, "status") == "billable" and ref_id(one(it, "subject"), "Patient") == mine
        ]
        items = tuple(_charge(it) for it in sorted(ours, key=lambda it: required(it, "id")))
        versions = "|".join(
            f"{it['id']}/{text(one(it, 'meta'), 'versionId')}" for it in sorted(ours, key=lambda it: it["id"])
        )
        return PendingCharges(query.patient_id, items, sum(item.amount_fen for item in items), versions)


def _invoice(it: Resource) -> Invoice:
    issued = moment(it, "date")
    money = one(it, "totalGross") or one(it, "totalNet")
    payer, _ = reference(one(it, "recipient"))
    if issued is None or not money:
        raise Broken("bad_reply")
    total = fen(money)
    if payer in ("Patient", "RelatedPerson"):
        parts = (total, 0)
    elif payer == "Organization":
        parts = (0, total)
    else:
        raise Broken("unmapped_code")  # who pays is not said, and a part may not be guessed
    return Invoice(_number(it), issued, total, *parts, items=_lines(it, total, issued))


def _number(it: Resource) -> str:
    return next((text(held, "value") for held in objects(it, "identifier") if text(held, "value")), "") or required(
        it, "id"
    )


def _lines(it: Resource, total: int, issued: datetime) -> tuple[ChargeItem, ...]:
    """The lines, when each has its sum and nothing is added or taken off for the whole; else none."""
    if objects(it, "totalPriceComponent"):
        return ()
    lines = []
    for at, line in enumerate(objects(it, "lineItem"), 1):
        parts = [
            one(part, "amount") for part in objects(line, "priceComponent") if text(part, "type") != "informational"
        ]
        if not parts or not all(parts):
            return ()
        name = words(one(line, "chargeItemCodeableConcept")) or text(one(line, "chargeItemReference"), "display")
        lines.append(ChargeItem(str(line.get("sequence", at)), name, sum(map(fen, parts)), at=issued))
    return tuple(lines) if sum(line.amount_fen for line in lines) == total else ()


def _charge(it: Resource) -> ChargeItem:
    price = one(it, "priceOverride")
    if not price:
        raise Broken("unmapped_code")  # priced by a catalogue that FHIR does not hand out
    amount, quantity = fen(price), one(it, "quantity")
    count = quantity.get("value")
    whole = isinstance(count, int | Decimal) and not isinstance(count, bool)
    return ChargeItem(
        charge_no=required(it, "id"),
        name=words(one(it, "code")),
        amount_fen=amount,
        unit=text(quantity, "unit"),
        quantity=Decimal(count) if whole and count is not None else Decimal(1),
        at=moment(it, "occurrenceDateTime"),
        department_name=text(one(it, "performingOrganization"), "display"),
        visit_no=ref_id(one(it, "context"), "Encounter"),
    )
