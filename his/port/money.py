"""Money as the HIS keeps it: balances, top-ups, charges, settlements, invoices, the day's account. All in fen."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from his.port.ops import Command, Op, OpClass, Query, personal


class PayMethod(StrEnum):
    """Where the money came from."""

    BALANCE = "balance"  # 卡余额
    WECHAT = "wechat"
    ALIPAY = "alipay"
    INSURANCE = "insurance"  # 医保
    CASH = "cash"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Balance:
    """What is on a patient's card."""

    patient_id: str
    balance_fen: int


@dataclass(frozen=True, slots=True)
class BalanceQuery(Query[Balance]):
    """Never cached: somebody decides about money by it."""

    op: ClassVar = Op.BALANCE
    patient_id: str


@dataclass(frozen=True, slots=True)
class TopUp:
    """Money put on a card (充值)."""

    his_txn_no: str
    patient_id: str
    amount_fen: int
    at: datetime | None = None
    balance_fen: int | None = None
    pay_method: PayMethod = PayMethod.UNKNOWN
    provider_trade_no: str = ""
    op_key: str = ""


@dataclass(frozen=True, slots=True)
class TopUpOrder(Command[TopUp]):
    """Credit a card with money that has been taken."""

    op: ClassVar = Op.TOP_UP
    money: ClassVar = True
    op_key: str
    patient_id: str
    card_no: str
    amount_fen: int
    pay_method: PayMethod
    provider_trade_no: str
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Refund:
    """Money taken off a card to be given back (退余额)."""

    his_txn_no: str
    patient_id: str
    amount_fen: int
    balance_fen: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefundOrder(Command[Refund]):
    """Take `amount_fen` off the card's balance, so that it can be paid back."""

    op: ClassVar = Op.REFUND
    money: ClassVar = True
    op_key: str
    patient_id: str
    card_no: str
    amount_fen: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TopUpsQuery(Query[tuple[TopUp, ...]]):
    """A patient's top-ups, newest first."""

    op: ClassVar = Op.LIST_TOP_UPS
    stale_s: ClassVar = 3600.0
    patient_id: str
    from_day: date | None = None
    to_day: date | None = None


@dataclass(frozen=True, slots=True)
class ChargeItem:
    """One line of charges (收费项目)."""

    charge_no: str
    name: str
    amount_fen: int
    category: str = ""
    unit: str = ""
    quantity: Decimal = Decimal(1)
    price_fen: int | None = None
    at: datetime | None = None
    recipe_no: str = ""
    department_name: str = ""
    visit_no: str = ""


@dataclass(frozen=True, slots=True)
class PendingCharges:
    """What is still to pay (待缴费用). `version` changes when the lines do; "" where the HIS has none."""

    patient_id: str
    items: tuple[ChargeItem, ...]
    total_fen: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class PendingChargesQuery(Query[PendingCharges]):
    """Never cached: somebody decides about money by it."""

    op: ClassVar = Op.PENDING_CHARGES
    patient_id: str


@dataclass(frozen=True, slots=True)
class PreSettlement:
    """Who would pay what; `total_fen` is the sum of the three parts."""

    settle_no: str
    total_fen: int
    self_paid_fen: int
    fund_paid_fen: int = 0
    insurance_account_paid_fen: int = 0


@dataclass(frozen=True, slots=True)
class PreSettlementOrder(Command[PreSettlement]):
    """Work out the parts of charges before payment (预结算); AMOUNT_CHANGED when `total_fen` is not what it was."""

    op: ClassVar = Op.PRE_SETTLE
    op_key: str
    patient_id: str
    charge_nos: tuple[str, ...]
    total_fen: int
    version: str = ""
    insurance_auth_no: str = personal("")


@dataclass(frozen=True, slots=True)
class Settlement:
    """Charges settled (结算)."""

    his_txn_no: str
    settle_no: str
    invoice_no: str
    total_fen: int
    self_paid_fen: int
    fund_paid_fen: int = 0
    insurance_account_paid_fen: int = 0


@dataclass(frozen=True, slots=True)
class SettlementOrder(Command[Settlement]):
    """Settle charges whose own part has been paid; AMOUNT_CHANGED when a sum drifted."""

    op: ClassVar = Op.SETTLE
    money: ClassVar = True
    op_key: str
    patient_id: str
    settle_no: str
    charge_nos: tuple[str, ...]
    total_fen: int
    self_paid_fen: int
    pay_method: PayMethod
    provider_trade_no: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice (发票); `total_fen` is the sum of the three parts and of its items where it lists them."""

    invoice_no: str
    issued_at: datetime
    total_fen: int
    self_paid_fen: int
    fund_paid_fen: int = 0
    insurance_account_paid_fen: int = 0
    items: tuple[ChargeItem, ...] = ()


@dataclass(frozen=True, slots=True)
class InvoicesQuery(Query[tuple[Invoice, ...]]):
    """Invoices of a patient, or of one stay, newest first."""

    op: ClassVar = Op.INVOICES
    op_class: ClassVar = OpClass.REPORT
    stale_s: ClassVar = 86_400.0
    patient_id: str
    admission_no: str = ""
    admission_seq: int | None = None


@dataclass(frozen=True, slots=True)
class ReconcileLine:
    """One movement of money as the HIS booked it; a refund is negative."""

    his_txn_no: str
    op: str
    amount_fen: int
    op_key: str = ""
    patient_id: str = ""
    provider_trade_no: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReconcileDay:
    """The HIS's account of one day (对账)."""

    day: date
    lines: tuple[ReconcileLine, ...]
    total_fen: int


@dataclass(frozen=True, slots=True)
class ReconcileQuery(Query[ReconcileDay]):
    """Every movement the HIS booked for this service on `day`."""

    op: ClassVar = Op.RECONCILE_DAY
    op_class: ClassVar = OpClass.REPORT
    day: date
