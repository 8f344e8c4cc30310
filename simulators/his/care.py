"""Visits with their records and prescriptions, and reports, over the wire."""

from typing import TYPE_CHECKING

from simulators.his import cash
from simulators.his.answers import Data, NoData, day, maybe, text

if TYPE_CHECKING:
    from simulators.his.world import World

NOTE = ("chief_complaint", "present_illness", "past_history", "examination", "diagnosis", "advice")
NORMAL = ("N", "正常", "阴性")
_REPORT = (
    "SELECT r.report_no, r.patient_id, r.kind, r.name, r.sampled_at, r.released_at, r.version, r.doctor,"
    " d.name AS doctor_name, r.findings, r.conclusion, r.study_uid, COALESCE(a.admission_no, '') AS admission_no"
    " FROM reports r JOIN doctors d ON d.code = r.doctor LEFT JOIN admissions a USING (wristband_no)"
    " WHERE r.patient_id = ?1 AND r.released_at IS NOT NULL AND r.released_at <= ?2"
)
_VISIT = (
    "SELECT v.*, p.name AS department_name, d.name AS doctor_name, (SELECT COALESCE(SUM(amount_fen), 0) FROM charges c"
    " WHERE c.visit_no = v.visit_no) AS total_fen FROM visits v JOIN departments p ON p.code = v.department"
    " JOIN doctors d ON d.code = v.doctor WHERE v.patient_id = ?1"
)


def list_visits(world: "World", asked: Data) -> Data:
    """The patient's visits, newest first, without their records."""
    rows = world.rows(
        f"{_VISIT} AND v.at >= ?2 AND substr(v.at, 1, 10) <= ?3 ORDER BY v.at DESC, v.visit_no DESC",
        world.patient(asked.get("patient_id"))["patient_id"], day(asked, "from_day") or "",
        day(asked, "to_day") or "9999",
    )  # fmt: skip
    return {"visits": [_summary(row) for row in rows]}


def visit(world: "World", asked: Data) -> Data:
    """One visit of this patient with record, prescriptions and charges."""
    patient_id = world.patient(asked.get("patient_id"))["patient_id"]
    row = world.one(f"{_VISIT} AND v.visit_no = ?2", patient_id, text(asked, "visit_no"))
    if row is None:
        raise NoData
    return {
        **_summary(row),
        "note": {key: row[key] for key in NOTE},
        "prescriptions": world.rows(
            "SELECT name, spec, dose, route, frequency, days, quantity, recipe_no FROM prescriptions"
            " WHERE visit_no = ? ORDER BY line",
            row["visit_no"],
        ),
        "charges": world.rows(f"{cash.CHARGE} WHERE c.visit_no = ? ORDER BY c.charge_no", row["visit_no"]),
    }


def _summary(row: Data) -> Data:
    return {
        key: row[key]
        for key in ("visit_no", "patient_id", "at", "department", "department_name", "doctor_name", "diagnosis", "total_fen")
    }  # fmt: skip


def reports(world: "World", asked: Data) -> Data:
    """Released reports, newest first, with their results; one that is not released does not exist."""
    rows = world.rows(
        f"{_REPORT} AND r.released_at >= ?3 AND substr(r.released_at, 1, 10) <= ?4 AND (?5 = '' OR a.admission_no = ?5)"
        " ORDER BY r.released_at DESC, r.report_no DESC",
        world.patient(asked.get("patient_id"))["patient_id"], world.wall(), day(asked, "from_day") or "",
        day(asked, "to_day") or "9999", maybe(asked, "admission_no"),
    )  # fmt: skip
    return {"reports": [_with_items(world, row) for row in rows]}


def report(world: "World", asked: Data) -> Data:
    """One released report of this patient; `kind` asks for that kind only."""
    patient_id = world.patient(asked.get("patient_id"))["patient_id"]
    row = world.one(f"{_REPORT} AND r.report_no = ?3", patient_id, world.wall(), text(asked, "report_no"))
    if row is None or asked.get("kind") not in (None, row["kind"]):
        raise NoData
    return _with_items(world, row)


def _with_items(world: "World", row: Data) -> Data:
    items = world.rows(
        "SELECT line, name, value, unit, low, high, reference, flag FROM report_items WHERE report_no = ? ORDER BY line",
        row["report_no"],
    )
    return {**row, "abnormal": any(item["flag"] not in NORMAL for item in items), "items": items}


READS = {"list_visits": list_visits, "visit": visit, "reports": reports, "report": report}
