"""The SOAP face as a table: each vendor operation, the operation of the hospital behind it, and every field's name.

A field is written `vendorName=json_name:kind`; kinds: none text, m money (yuan with two decimals for fen), d day
(yyyyMMdd), t time (yyyy-MM-dd HH:mm:ss), n number, b 1 or 0, l texts joined by commas.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Field(NamedTuple):
    """One field: its name in XML, its name in the hospital's own data, its kind."""

    xml: str
    name: str
    kind: str


def fields(text: str) -> tuple[Field, ...]:
    """Fields out of `vendorName=json_name:kind …`; a name that is the same on both sides is written once."""
    found = []
    for word in text.split():
        xml, _, rest = word.partition("=")
        name, _, kind = (rest or xml).partition(":")
        found.append(Field(xml.partition(":")[0], name, kind))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Shape:
    """What one Item holds: its fields, and groups such as Cards/Card: (outer, inner, json name, shape)."""

    fields: tuple[Field, ...]
    groups: tuple[tuple[str, str, str, "Shape"], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the WSDL. `style`: scalar arguments, or one `input` with `<Request>` in it.

    `rows`: the json list whose members are the Items; "": the answer itself is the only Item.
    `head`: fields of the answer that stand beside Items. `only`: a report kind this operation answers for.
    """

    name: str
    op: str
    style: str
    asked: tuple[Field, ...]
    item: Shape
    rows: str = ""
    head: tuple[Field, ...] = field(default=())
    only: str = ""


_CARD = Shape(fields("cardNo=card_no cardType=kind cardState=status"))
_PATIENT = Shape(
    fields(
        "patientNo=patient_id patientName=name sexCode=sex birthday=birth_date:d idenNo=id_no mobile=phone isDead=deceased:b"
    ),
    (("Cards", "Card", "cards", _CARD),),
)
_CLINIC = (
    "schemaId=schedule_id pointNo=slot_id seeDate=day:d noonCode=day_part beginTime=starts_at:t regLevel=service_class"
    " regCost=fee_fen:m room doctCode=doctor doctName=doctor_name deptCode=department deptName=department_name"
    " operDate=created_at:t transNo=his_txn_no"
)
_REGISTRATION = Shape(fields("regNo=registration_no patientNo=patient_id regState=status seeNo=queue_no:n " + _CLINIC))
_APPOINTMENT = Shape(fields("bookNo=appointment_no patientNo=patient_id bookState=status " + _CLINIC))
_FEE = Shape(
    fields(
        "feeNo=charge_no recipeNo=recipe_no itemName=name feeType=category invoiceType=invoice_category unit qty=quantity:n"
        " unitPrice=price_fen:m totCost=amount_fen:m feeDate=made_at:t deptName=department_name visitNo=visit_no"
    )
)
_PARTS = "totCost=total_fen:m ownCost=self_paid_fen:m pubCost=fund_paid_fen:m accountCost=insurance_account_paid_fen:m"
_MONEY = (
    "transNo=his_txn_no patientNo=patient_id totCost=amount_fen:m operDate=at:t payMode=pay_method tradeNo=trade_no"
    " opKey=op_key leftCost=balance_fen:m"
)
_TOP_UP = Shape(fields(_MONEY))
_PREPAYMENT = Shape(fields(_MONEY + " inpatientNo=admission_no inTimes=admission_seq:n"))
_STAY = Shape(
    fields(
        "inpatientNo=admission_no inTimes=admission_seq:n wristbandNo=wristband_no wardCode=ward_code wardName=ward_name"
        " bedNo=bed_no deptName=department doctName=doctor inDate=admitted_at:t outDate=discharged_at:t inState=status"
    ),
    (("Patients", "Patient", "patient", _PATIENT),),
)
_VISIT = "visitNo=visit_no patientNo=patient_id visitDate=at:t deptName=department_name doctName=doctor_name diagName=diagnosis totCost=total_fen:m"
_NOTE = Shape(
    fields(
        "mainSuit=chief_complaint nowHistory=present_illness pastHistory=past_history physical=examination diagName=diagnosis advice"
    )
)
_DRUG = Shape(fields("itemName=name spec doseOnce=dose usage=route frequency days:n qty=quantity recipeNo=recipe_no"))
_REPORT = "reportNo=report_no patientNo=patient_id reportType=kind reportName=name sampleDate=sampled_at:t reportDate=released_at:t version"
_RESULT = Shape(
    fields("itemName=name result=value unit lowValue=low highValue=high refRange=reference resultFlag=flag")
)
_REPORT_ITEM = Shape(
    fields(_REPORT + " doctName=doctor_name seeText=findings diagText=conclusion studyUid=study_uid"),
    (("Results", "Result", "items", _RESULT),),
)
_DAYS = "patientNo=patient_id beginDate=from_day:d endDate=to_day:d"
_OF_STAY = "patientNo=patient_id inpatientNo=admission_no inTimes=admission_seq:n"
_PLACE = "opKey=op_key patientNo=patient_id schemaId=schedule_id pointNo=slot_id"
_PAID = "totCost=amount_fen:m payMode=pay_method tradeNo=trade_no payDate=paid_at:t"


def _clinic_reads() -> tuple[Operation, ...]:
    scalar = "scalar"
    return (
        Operation("HelloWorld", "health", scalar, (), Shape(fields("sysTime=time:t"))),
        Operation("GetDeptInfo", "list_departments", scalar, fields("hosCode=campus"), Shape(fields(
            "deptCode=code deptName=name hosCode=campus hosName=campus_name deptAddress=place deptIntro=intro")), "departments"),
        Operation("GetDocInfo", "list_doctors", scalar, fields("deptCode=department"), Shape(fields(
            "doctCode=code doctName=name doctTitle=title deptCode=department deptName=department_name doctSkill=skill regCost=fee_fen:m")), "doctors"),
        Operation("GetPatientCardNo", "query_patient", scalar, fields("cardNo=card_no patientNo=patient_id idenNo=id_no"), _PATIENT),
        Operation("GetShemaInfo", "list_schedules", scalar, fields("deptCode=department doctCode=doctor beginDate=from_day:d endDate=to_day:d"), Shape(fields(
            "schemaId=schedule_id seeDate=day:d noonCode=day_part regLevel=service_class regCost=fee_fen:m room state=status doctCode=doctor doctName=doctor_name"
            " doctTitle=title deptCode=department deptName=department_name totCount=total:n leftCount=left_count:n")), "schedules"),
        Operation("GetShemaPointInfo", "list_slots", scalar, fields("schemaId=schedule_id"), Shape(fields(
            "pointNo=slot_id schemaId=schedule_id beginTime=starts_at:t endTime=ends_at:t leftCount=left:n")), "slots"),
        Operation("QueryAppRegistRecords", "registrations", scalar, fields(_DAYS), _REGISTRATION, "registrations"),
        Operation("QueryAppointRecords", "list_appointments", scalar, fields(_DAYS), _APPOINTMENT, "appointments"),
        Operation("GetQueue", "queue", scalar, fields("patientNo=patient_id"), Shape(fields(
            "regNo=registration_no patientNo=patient_id schemaId=schedule_id seeNo=queue_no:n nowNo=serving_no:n waitCount=ahead:n queueState=state"
            " deptName=department_name doctName=doctor_name room")), "queue"),
        Operation("GetCardBalance", "balance", scalar, fields("patientNo=patient_id"), Shape(fields("patientNo=patient_id leftCost=balance_fen:m"))),
        Operation("QueryCardCharge", "list_top_ups", scalar, fields(_DAYS), _TOP_UP, "top_ups"),
        Operation("GetFeeListByClinicCode", "charges", scalar, fields("clinicCode=patient_id"), _FEE, "items",
                  fields("patientNo=patient_id totCost=total_fen:m version")),
        Operation("QueryPatientDiag", "list_visits", scalar, fields(_DAYS), Shape(fields(_VISIT)), "visits"),
        Operation("QueryPrescriptionInfo", "visit", scalar, fields("patientNo=patient_id visitNo=visit_no"), Shape(fields(_VISIT), (
            ("Notes", "Note", "note", _NOTE), ("Prescriptions", "Prescription", "prescriptions", _DRUG), ("Fees", "Fee", "charges", _FEE)))),
        Operation("QueryReportList", "reports", scalar, fields(_DAYS + " inpatientNo=admission_no"),
                  Shape(fields(_REPORT + " isAbnormal=abnormal:b")), "reports"),
        Operation("QueryReportInfo", "report", scalar, fields("patientNo=patient_id reportNo=report_no"), _REPORT_ITEM),
        Operation("GetLisResultInfo", "report", scalar, fields("patientNo=patient_id reportNo=report_no"), _REPORT_ITEM, only="lab"),
        Operation("GetPacsResultInfo", "report", scalar, fields("patientNo=patient_id reportNo=report_no"), _REPORT_ITEM, only="imaging"),
    )  # fmt: skip


def _stay_reads() -> tuple[Operation, ...]:
    scalar = "scalar"
    return (
        Operation("QueryInMainInfo", "query_admission", scalar, fields("wristbandNo=wristband_no inpatientNo=admission_no patientNo=patient_id"), _STAY),
        Operation("QueryInMainList", "list_admissions", scalar, fields("patientNo=patient_id"), _STAY, "admissions"),
        Operation("QueryInMainMxInfo", "daily_statement", scalar, fields(_OF_STAY + " feeDate=day:d"), _FEE, "items",
                  fields(_OF_STAY + " feeDate=day:d totCost=total_fen:m")),
        Operation("QueryInFeeSummary", "charge_summary", scalar, fields(_OF_STAY), Shape(fields("invoiceType=invoice_category totCost=amount_fen:m")),
                  "categories", fields(_OF_STAY + " totCost=total_fen:m preCost=prepaid_fen:m leftCost=balance_fen:m")),
        Operation("QueryPrefeeMaster", "list_prepayments", scalar, fields(_OF_STAY), _PREPAYMENT, "prepayments"),
        Operation("QueryInvoiceInfo", "invoices", scalar, fields(_OF_STAY), Shape(
            fields("invoiceNo=invoice_no patientNo=patient_id invoiceDate=issued_at:t " + _PARTS), (("Details", "Detail", "items", _FEE),)), "invoices"),
        Operation("CheckWristband", "check_wristband", scalar, fields("wristbandNo=wristband_no itemCode=item_code"), Shape(
            fields("verdict itemName=item_name memo=note"), (("Stays", "Stay", "admission", _STAY),))),
        Operation("QueryReconcileInfo", "reconcile_day", "input", fields("accountDate=day:d"), Shape(fields(
            "transNo=his_txn_no operType=op totCost=amount_fen:m opKey=op_key patientNo=patient_id payMode=pay_method tradeNo=trade_no operDate=at:t")),
                  "lines", fields("accountDate=day:d totCost=total_fen:m")),
    )  # fmt: skip


def _writes() -> tuple[Operation, ...]:
    one = "input"
    cancelled = "refundCost=refund_fen:m transNo=his_txn_no"
    return (
        Operation("InsertPatientInfo", "create_card", one, fields(
            "opKey=op_key patientName=name sexCode=sex birthday=birth_date:d idenType=id_type idenNo=id_no mobile=phone guardianName=guardian_name guardianIdenNo=guardian_id_no"),
                  Shape(fields("cardNo=card_no"), (("Patients", "Patient", "patient", _PATIENT),))),
        Operation("LockPoint", "lock_slot", one, fields(_PLACE), Shape(fields("lockNo=hold_no expireTime=expires_at:t"))),
        Operation("UnLockPoint", "unlock_slot", one, fields("opKey=op_key patientNo=patient_id lockNo=hold_no"), Shape(fields("lockNo=hold_no"))),
        Operation("InsertRegisterTemp", "register", one, fields(
            _PLACE + " cardNo=card_no regCost=fee_fen:m lockNo=hold_no payMode=pay_method tradeNo=trade_no"), _REGISTRATION),
        Operation("CancelRegister", "cancel_registration", one, fields("opKey=op_key patientNo=patient_id regNo=registration_no reason"),
                  Shape(fields("regNo=registration_no " + cancelled))),
        Operation("InsertBooking", "book", one, fields(_PLACE + " cardNo=card_no lockNo=hold_no"), _APPOINTMENT),
        Operation("CancelBooking", "cancel_booking", one, fields("opKey=op_key patientNo=patient_id bookNo=appointment_no reason"),
                  Shape(fields("bookNo=appointment_no " + cancelled))),
        Operation("SignIn", "check_in", one, fields("opKey=op_key patientNo=patient_id regNo=registration_no station"),
                  Shape(fields("regNo=registration_no seeNo=queue_no:n waitCount=ahead:n operDate=at:t"))),
        Operation("SaveCardCharge", "top_up", one, fields("opKey=op_key patientNo=patient_id cardNo=card_no " + _PAID), _TOP_UP),
        Operation("SaveCardRefund", "refund", one, fields("opKey=op_key patientNo=patient_id cardNo=card_no totCost=amount_fen:m reason"),
                  Shape(fields("transNo=his_txn_no patientNo=patient_id totCost=amount_fen:m leftCost=balance_fen:m operDate=at:t"))),
        Operation("PreSaveFee", "pre_settle", one, fields(
            "opKey=op_key clinicCode=patient_id feeNos=charge_nos:l totCost=total_fen:m version siAuthNo=insurance_auth_no"),
                  Shape(fields("settleNo=settle_no " + _PARTS))),
        Operation("SaveFee", "settle", "scalar", fields(
            "opKey=op_key clinicCode=patient_id settleNo=settle_no feeNos=charge_nos:l totCost=total_fen:m ownCost=self_paid_fen:m payMode=pay_method tradeNo=trade_no"),
                  Shape(fields("transNo=his_txn_no settleNo=settle_no invoiceNo=invoice_no " + _PARTS))),
        Operation("SavePrefee", "pay_prepayment", one, fields("opKey=op_key " + _OF_STAY + " " + _PAID), _PREPAYMENT),
    )  # fmt: skip


STATUS = {
    "GetRegState": ("register", "cancel_registration"),
    "GetBookingState": ("book", "cancel_booking"),
    "GetRecieptStatus": ("top_up", "refund", "pre_settle", "settle", "pay_prepayment"),
    "GetOperState": ("create_card", "lock_slot", "unlock_slot", "check_in"),
}
"""Status queries (`opKey`): which writes each answers for; the answer is the Item that write answered, or no data."""

OPERATIONS = {operation.name: operation for operation in (*_clinic_reads(), *_stay_reads(), *_writes())}
BY_WRITE = {operation.op: operation for operation in _writes()}
