"""What a mapping can say, and what it says when a reply or the file itself is wrong."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from core.clock import SHANGHAI
from core.errors import ConfigError
from his import port
from his.faults import Broken, Duplicate, NotSent
from his.fixtures import load as load_fixtures
from his.fixtures import replay
from his.mapping import Mapper, Misfit, bundled, load, read
from his.mapping.load import VENDORS
from his.port import AbnormalFlag, Done, NotDone, NotFound, Op, Rejected, RejectReason, Sex, StillUnknown
from his.rest import RestAdapter, RestOptions

WHO = port.PatientQuery(patient_id="P1")
HEAD = """
vendor: test
envelope: {code: code, message: msg, data: data}
codes: {ok: ["0"], not_found: ["1"], rejected: {"2": other}, exception: ["-1"]}
"""


def mapper(text: str, head: str = HEAD) -> Mapper:
    return Mapper(read(head + text, "test.yaml"), {"app_key": "k-1"})


def patient(data: Any, text: str = "operations: {query_patient: {}}", **envelope: Any) -> port.Patient:
    return mapper(text).answer(WHO, {"code": "0", "data": data, **envelope})


def balance(amount: Any, money: str = "yuan", path: str = "") -> int:
    text = f"formats: {{money: {money}}}\noperations: {{balance: {{answer: {{fields: {{patient_id: {{asked: patient_id}}}}}}}}}}"
    return mapper(text).answer(port.BalanceQuery("P1"), {"code": "0", "data": {"balance_fen": amount}}).balance_fen


ME = {"patient_id": "P1", "name": "某", "birth_date": "1985-03-12"}

# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("written", "fen"),
    [("12.34", 1234), ("12.3", 1230), ("12", 1200), (12, 1200), ("12.3400", 1234), ("-0.01", -1), (Decimal("0.07"), 7),
     (0.29, 29), (" 3.00 ", 300), ("99999999.99", 9999999999)],
)  # fmt: skip
def test_yuan_become_fen_exactly(written: Any, fen: int) -> None:
    assert balance(written) == fen


@pytest.mark.parametrize("written", ["12.345", "1,234.00", "¥12", "1e3", "NaN", "", None, True, [1], "１２"])
def test_what_is_no_amount_of_whole_fen_is_a_bad_reply(written: Any) -> None:
    with pytest.raises(Broken, match="bad_reply"):
        balance(written)


@pytest.mark.parametrize("written", ["12.5", 12.5, "x", "0x10"])
def test_fen_must_be_whole(written: Any) -> None:
    assert balance("1250", "fen") == balance(1250, "fen") == 1250
    with pytest.raises(Broken, match="bad_reply"):
        balance(written, "fen")


def test_numbers_as_text_and_texts_as_numbers_are_the_same() -> None:
    assert patient({**ME, "patient_id": 17}).patient_id == "17"
    assert patient({**ME, "sex": 1}).sex is Sex.MALE


@pytest.mark.parametrize(
    ("code", "sex"), [("1", Sex.MALE), ("女", Sex.FEMALE), ("M", Sex.MALE), ("9", Sex.UNKNOWN), ("", Sex.UNKNOWN)]
)
def test_the_houses_own_tables_know_the_national_codes_and_guess_nothing(code: str, sex: Sex) -> None:
    assert patient({**ME, "sex": code}).sex is sex


def test_a_mappings_table_replaces_the_houses_so_that_no_code_keeps_a_wrong_meaning() -> None:
    text = 'tables: {Sex: {"0": male, "1": female}}\noperations: {query_patient: {}}'
    assert [patient({**ME, "sex": code}, text).sex for code in ("0", "1", "2", "男")] == [
        Sex.MALE, Sex.FEMALE, Sex.UNKNOWN, Sex.UNKNOWN,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "flag"),
    [("H", "high"), ("↑", "high"), ("偏高", "high"), ("↓↓", "critical_low"), ("阳性", "positive"), ("阴性", "negative"),
     ("N", "normal"), ("†", "undetermined"), ("?", "undetermined"), (None, "undetermined"), ("-", "undetermined")],
)  # fmt: skip
def test_flags_as_laboratories_write_them(written: Any, flag: str) -> None:
    data = {"report_no": "B1", "patient_id": "P1", "kind": "检验", "name": "血常规", "released_at": "2026-11-24 08:00:00",
            "items": [{"name": "WBC", "value": "11.2", "flag": written}]}  # fmt: skip
    report = mapper("operations: {report: {}}").answer(port.ReportQuery("P1", "B1"), {"code": "0", "data": data})
    assert report.items[0].flag is AbnormalFlag(flag)


def test_dates_by_the_first_format_that_fits_and_an_impossible_birthday_is_unknown() -> None:
    text = 'formats: {date: ["%Y%m%d", "%d.%m.%Y"]}\noperations: {query_patient: {}}'
    assert patient({**ME, "birth_date": "19850312"}, text).birth_date == date(1985, 3, 12)
    assert patient({**ME, "birth_date": "12.03.1985"}, text).birth_date == date(1985, 3, 12)
    assert patient({**ME, "birth_date": "19850230"}, text).birth_date is None


@pytest.mark.parametrize(
    ("form", "written"),
    [("%Y-%m-%dT%H:%M:%S%z", "2026-11-24T00:30:00Z"), ("%Y%m%d%H%M%S", "20261124083000"), ("epoch_ms", 1795480200000),
     ("epoch_s", "1795480200")],
)  # fmt: skip
def test_times_are_shanghais_whatever_they_are_written_in(form: str, written: Any) -> None:
    text = f'formats: {{datetime: ["{form}"]}}\noperations: {{health: {{}}}}'
    at = mapper(text).answer(port.HealthQuery(), {"code": "0", "data": {"at": written}}).at
    assert at == datetime(2026, 11, 24, 8, 30, tzinfo=SHANGHAI)
    assert at.tzinfo is SHANGHAI


def test_sentinels_say_that_the_his_cannot_supply_and_a_field_may_have_its_own() -> None:
    text = """
sentinels: ["", -1, "-1"]
types: {Patient: {phone: {path: phone, sentinels: ["00"]}}}
operations: {query_patient: {}}"""
    found = patient({**ME, "id_no": -1, "phone": "-1", "cards": []}, text)
    assert (found.id_no, found.phone, found.cards) == ("", "-1", ())
    assert patient({**ME, "phone": "00"}, text).phone == ""
    with pytest.raises(Misfit, match="bad_reply"):
        patient({**ME, "name": "-1"}, text)


def test_a_yes_that_nobody_listed_is_never_a_no_for_what_must_be_known() -> None:
    for written, dead in ((True, True), ("1", True), ("否", False), (0, False), (None, False), ("", False)):
        assert patient({**ME, "deceased": written}).deceased is dead
    with pytest.raises(Misfit, match="bad_reply"):
        patient({**ME, "deceased": "D"})
    text = 'types: {Patient: {deceased: {table: {"D": "true", "A": "false"}}}}\noperations: {query_patient: {}}'
    assert [patient({**ME, "deceased": code}, text).deceased for code in ("D", "A")] == [True, False]


def test_a_constant_wins_over_what_stands_under_the_fields_own_name() -> None:
    text = "types: {Patient: {phone: {const: '000'}}}\noperations: {query_patient: {}}"
    assert patient({**ME, "phone": "111"}, text).phone == "000"


# ---------------------------------------------------------------- places


def test_paths_nest_count_and_begin_at_the_whole_reply() -> None:
    text = """
types: {Patient: {patient_id: who.ids.1, name: $.msg, cards: ., id_no: {first: [a, who.b]}, phone: {join: [c, d], between: "-"}}}
operations: {query_patient: {answer: {fields: {cards: {const: null, path: kxx.kx}}}}}"""
    data = {"who": {"ids": ["x", "P1"], "b": "b"}, "c": "c", "d": "d", "kxx": {"kx": {"card_no": "1"}}}
    found = patient(data, text, msg="某某")
    assert (found.patient_id, found.name, found.id_no, found.phone) == ("P1", "某某", "b", "c-d")
    assert [card.card_no for card in found.cards] == ["1"]


def test_below_an_empty_element_a_list_is_empty_and_where_nothing_stands_it_must_not_be_required() -> None:
    text = "types: {PendingCharges: {items: Items.Item}}\noperations: {pending_charges: {}}"
    reply = {"code": "0", "data": {"patient_id": "P1", "total_fen": 0, "Items": ""}}
    assert mapper(text).answer(port.PendingChargesQuery("P1"), reply).items == ()
    with pytest.raises(Misfit, match="bad_reply"):
        mapper(text).answer(port.PendingChargesQuery("P1"), {"code": "0", "data": {"patient_id": "P1", "total_fen": 0}})


def test_where_chooses_rows_and_one_object_of_a_list_is_found_missed_or_ambiguous() -> None:
    text = """
operations:
  query_patient: {answer: {path: rows, where: {patient_id: {asked: patient_id}, void: {not: ["1"]}}}}"""
    row = {"patient_id": "P1", "name": "某"}
    assert patient({"rows": [{**row, "patient_id": "P2"}, row, {**row, "void": 1}]}, text).patient_id == "P1"
    with pytest.raises(NotFound):
        patient({"rows": [{**row, "void": "1"}]}, text)
    with pytest.raises(Rejected) as refused:
        patient({"rows": [row, row]}, text)
    assert refused.value.reason is RejectReason.AMBIGUOUS


# ---------------------------------------------------------------- codes

SAME_CODE = (
    HEAD
    + """
write_codes: {duplicate: ["1"]}
operations:
  list_visits: {}
  balance: {codes: {not_found: ["2"], ok: ["0", "1"]}}
  top_up: {}
"""
)
TOP_UP = port.TopUpOrder("k", "P1", "6", 100, port.PayMethod.WECHAT, "T", datetime(2026, 11, 24, tzinfo=SHANGHAI))


def test_the_same_code_means_no_data_on_one_operation_ok_on_another_and_duplicate_on_a_write() -> None:
    one = mapper("", SAME_CODE)
    reply = {"code": "1", "data": {"patient_id": "P1", "balance_fen": 5}}
    with pytest.raises(NotFound):
        one.answer(port.VisitsQuery("P1"), reply)
    assert one.answer(port.BalanceQuery("P1"), reply).balance_fen == 5
    with pytest.raises(NotFound):
        one.answer(port.BalanceQuery("P1"), {"code": "2"})
    with pytest.raises(Duplicate):
        one.answer(TOP_UP, reply)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [({"code": "77"}, "unmapped_code"), ({"code": "-1"}, "his_exception"), ({"code": None}, "bad_reply"), ({}, "bad_reply"),
     ({"code": {}}, "bad_reply"), ([], "bad_reply"), (None, "bad_reply"), ({"code": True}, "unmapped_code")],
)  # fmt: skip
def test_a_code_that_stands_nowhere_decides_nothing(reply: Any, reason: str) -> None:
    with pytest.raises(Broken) as caught:
        mapper("operations: {balance: {}}").answer(port.BalanceQuery("P1"), reply)
    assert caught.value.reason == reason


REASONS = """
vendor: test
envelope: {code: code, message: msg, data: data}
codes:
  ok: ["1"]
  rejected: {"-1": other}
  reason_path: err
  reasons: {FULL: slot_gone, NODATA: not_found, LACK: balance_short, BROKEN: exception}
  contains: {停诊: clinic_stopped}
  unreasoned: exception
  shortfall: {path: lack, money: yuan}
operations: {top_up: {}}
"""


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [({"err": "FULL", "msg": "满"}, Rejected, RejectReason.SLOT_GONE), ({"err": "今日停诊了"}, Rejected, RejectReason.CLINIC_STOPPED),
     ({"err": "ODD"}, Rejected, RejectReason.OTHER), ({"err": "NODATA"}, NotFound, None), ({"err": "BROKEN"}, Broken, None),
     ({}, Broken, None), ({"err": ""}, Broken, None)],
)  # fmt: skip
def test_a_refusal_is_told_from_a_failure_by_its_reason(
    reply: dict[str, Any], kind: type[Exception], said: Any
) -> None:
    with pytest.raises(kind) as caught:
        mapper("", REASONS).answer(TOP_UP, {"code": -1, **reply})
    if said is not None:
        assert caught.value.reason is said


def test_a_short_balance_says_how_much_is_missing_and_stands_without() -> None:
    for lack, fen in (("12.50", 1250), ("?", None), (None, None)):
        with pytest.raises(Rejected) as refused:
            mapper("", REASONS).answer(TOP_UP, {"code": "-1", "err": "LACK", "lack": lack})
        assert (refused.value.reason, refused.value.shortfall_fen) == (RejectReason.BALANCE_SHORT, fen)


def test_an_ok_without_data_is_nothing_only_where_the_mapping_says_so() -> None:
    for text, wanted in (("", Broken), ("codes: {empty: not_found}", NotFound)):
        for data in (None, "", [], {}):
            with pytest.raises(wanted):
                mapper(f"operations: {{query_patient: {{{text}}}}}").answer(WHO, {"code": "0", "data": data})
    empty = mapper("operations: {list_visits: {codes: {empty: not_found}}}")
    assert empty.answer(port.VisitsQuery("P1"), {"code": "0", "data": []}) == ()


def test_a_write_that_was_accepted_without_a_readable_answer_is_broken_and_never_refused() -> None:
    one = mapper("operations: {top_up: {answer: rows}}")
    good = {"his_txn_no": "T1", "patient_id": "P1", "amount_fen": 100}
    assert one.answer(TOP_UP, {"code": "0", "data": {"rows": [good]}}).his_txn_no == "T1"
    for rows in ([], [good, good], None, "x", [1]):
        with pytest.raises(Broken, match="bad_reply"):
            one.answer(TOP_UP, {"code": "0", "data": {"rows": rows}})


# ---------------------------------------------------------------- what became of it


def test_a_status_query_says_done_not_done_or_nothing() -> None:
    one = mapper("""
operations:
  top_up:
    resolve: {request: {key: $op_key}, state: {path: state, done: ["S"], not_done: ["F", "0"]}, path: row}""")
    row = {"his_txn_no": "T1", "patient_id": "P1", "amount_fen": 100}
    assert one.resolve_request(TOP_UP) == {"key": "k"}
    found = one.resolution(TOP_UP, {"code": "0", "data": {"state": "S", "row": row}})
    assert isinstance(found, Done)
    assert found.value.his_txn_no == "T1"
    assert one.resolution(TOP_UP, {"code": "0", "data": {"state": 0}}) == NotDone()
    assert one.resolution(TOP_UP, {"code": "1"}) == NotDone()
    assert one.resolution(TOP_UP, {"code": "0", "data": {"state": "?"}}) == StillUnknown("unmapped_code")
    assert one.resolution(TOP_UP, {"code": "2"}) == StillUnknown("2")
    with pytest.raises(Broken, match="bad_reply"):
        one.resolution(TOP_UP, {"code": "0", "data": {"state": "S"}})


def test_a_list_in_which_the_op_key_stands_or_not_resolves_too() -> None:
    one = mapper("""
operations:
  top_up: {resolve: {answer: {path: rows, where: {key: {asked: op_key}}}}}""")
    row = {"his_txn_no": "T1", "patient_id": "P1", "amount_fen": 100, "key": "k"}
    reply = {"code": "0", "data": {"rows": [{**row, "key": "other"}, row]}}
    assert one.resolution(TOP_UP, reply).value.his_txn_no == "T1"
    assert one.resolution(TOP_UP, {"code": "0", "data": {"rows": [{**row, "key": "other"}]}}) == NotDone()
    assert one.resolution(TOP_UP, {"code": "0", "data": {"rows": [row, row]}}) == StillUnknown("ambiguous")


# ---------------------------------------------------------------- requests


def test_a_request_is_written_by_its_template() -> None:
    one = mapper("""
formats: {money: yuan, datetime: ["%Y%m%d%H%M%S"]}
operations:
  top_up:
    request:
      hospital: H01
      price: $$5
      head: {key: {secret: app_key}, op: $op}
      list: [$op_key, {amount: $amount_fen, fen: {asked: amount_fen, money: fen}}]
      at: $paid_at
      day: {asked: paid_at, formats: ["%Y-%m-%d"]}
      way: {asked: pay_method, table: {"W": wechat}}
  pre_settle:
    request: {nos: {asked: charge_nos, join: ","}, lines: {asked: charge_nos, each: {no: $item}}, v: $version~,
              raw: $charge_nos, auth: {asked: insurance_auth_no, empty: "无"}}""")
    assert one.request(TOP_UP) == {
        "hospital": "H01", "price": "$5", "head": {"key": "k-1", "op": "top_up"}, "list": ["k", {"amount": "1.00", "fen": 100}],
        "at": "20261124000000", "day": "2026-11-24", "way": "W",
    }  # fmt: skip
    assert one.request(port.PreSettlementOrder("k", "P1", ("a", "b"), 5)) == {
        "nos": "a,b", "lines": [{"no": "a"}, {"no": "b"}], "raw": ["a", "b"], "auth": "无",
    }  # fmt: skip


def test_a_value_without_a_code_is_not_sent_rather_than_guessed() -> None:
    one = mapper('operations: {top_up: {request: {way: {asked: pay_method, table: {"1": cash}}}}}')
    with pytest.raises(NotSent, match="unmapped_value"):
        one.request(TOP_UP)


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("text", "key", "line", "words"),
    [
        ("operations:\n  qurey_patient: {}", "operations.qurey_patient", 6, "no operation"),
        ("operations:\n  balance:\n    anwser: {}", "operations.balance.anwser", 7, "did you mean answer"),
        ("tables:\n  Sex:\n    1: male\noperations: {balance: {}}", "tables.Sex.1", 7, "quotes"),
        ("tables:\n  Sex:\n    '1': man\noperations: {query_patient: {}}", "tables.Sex.1", 7, "there are male"),
        ("tables: {Sexx: {}}\noperations: {balance: {}}", "tables.Sexx", 5, "no code list"),
        ("types:\n  Patient:\n    nam: x\noperations: {balance: {}}", "types.Patient.nam", 7, "it has patient_id, name"),
        ("types: {Person: {}}\noperations: {balance: {}}", "types.Person", 5, "no type"),
        ("operations:\n  balance:\n    answer:\n      fields:\n        balance: x", "operations.balance.answer.fields.balance", 9, "balance_fen"),
        ("operations:\n  balance:\n    answer:\n      fields:\n        balance_fen: {asked: amount}",
         "operations.balance.answer.fields.balance_fen.asked", 9, "question has no amount"),
        ("operations:\n  balance:\n    request:\n      id: $patientid", "operations.balance.request.id", 8, "it has patient_id"),
        ("operations:\n  balance:\n    request: {k: {secret: other}}", "operations.balance.request.k", 7, "no secret"),
        ("operations:\n  balance:\n    answer: a..b", "operations.balance.answer.path", 7, "no path"),
        ("operations:\n  balance: {resolve: true}", "operations.balance", 6, "read"),
        ("operations:\n  top_up: {resolve: true}", "operations.top_up.resolve", 6, "no resolve to use"),
        ("operations:\n  balance:\n    codes: {ok: ['0'], not_found: ['0']}", "operations.balance.codes.not_found", 7, "keep one"),
        ("operations:\n  list_visits:\n    answer: {where: {x: 1}}", "operations.list_visits.answer.where.x", 7, "in quotes"),
        ("types:\n  Patient:\n    name: {table: {'1': x}}\noperations: {query_patient: {}}", "types.Patient.name.table", 7, "no meaning"),
        ("types:\n  Balance:\n    patient_id: {money: yuan}\noperations: {balance: {}}", "types.Balance.patient_id.money", 7, "no meaning"),
        ("operations: {balance: {}}\noperations: {}", "operations", 6, "second time"),
    ],
)  # fmt: skip
def test_a_fault_in_the_file_names_key_file_and_line(text: str, key: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mapper(text)
    fault = caught.value
    assert (fault.key, fault.line, fault.source) == (key, line, "test.yaml"), str(fault)
    assert words in str(fault)


def test_a_reply_that_does_not_fit_names_the_mappings_key_and_no_value_of_the_reply() -> None:
    text = "types:\n  PatientCard: {card_no: {path: kh}}\noperations: {query_patient: {}}"
    with pytest.raises(Misfit) as caught:
        patient({**ME, "cards": [{"kh": "6"}, {"kx": "600000000017"}]}, text)
    assert caught.value.at == ("types", "PatientCard", "card_no")
    assert "PatientCard.card_no" in caught.value.what
    with pytest.raises(Misfit) as caught:
        mapper("operations: {balance: {}}").answer(
            port.BalanceQuery("P1"), {"code": "0", "data": {"patient_id": "P1", "balance_fen": "王"}}
        )
    assert "Balance.balance_fen" in caught.value.what
    assert "王" not in caught.value.what


@pytest.mark.parametrize("name", bundled())
def test_every_bundled_mapping_compiles(name: str) -> None:
    loaded = load(name)
    assert Mapper(loaded, {"token": "t", "sign_key": "k"}).capabilities >= {Op.HEALTH, Op.QUERY_PATIENT}
    assert loaded.mapping.about


@pytest.mark.parametrize("name", ["renhe-json", "form-gb2312-md5"])
def test_the_recorded_replies_of_a_bundled_mapping_are_read_as_expected(name: str) -> None:
    secrets = {"sign_key": "k"} if name == "form-gb2312-md5" else {}
    given = {"base_url": "http://his.example", "mapping": name, "token": "t", "secrets": secrets}
    adapter = RestAdapter(RestOptions.model_validate(given))
    found = load_fixtures(VENDORS / name)
    assert len(found) >= 15
    assert [str(fault) for fixture in found for fault in replay(adapter, fixture)] == []
    adapter.close()


def test_a_mapping_that_is_not_there_names_the_bundled_ones() -> None:
    with pytest.raises(ConfigError, match="renhe-json"):
        load("nowhere.yaml")
