"""Reports and images on the phone: whose they are, what is shown while HIS or PACS are silent, and what never leaves."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from core.ids import new_id
from his.port import Ctx, HisEvent, HisEventKind, PatientQuery, ReportsQuery
from store.port import BindingKind
from tests.support.house import OTHER_CARD, STAY, House, Phone, run_house
from tests.support.orthanc import DX_STUDY, Orthanc
from tests.support.reports import FILM, LAB, ULTRASOUND, film_house, film_sim, orthanc
from tests.support.sim_wechat import WechatSim
from tests.support.sims import HisSim

pytestmark = pytest.mark.xdist_group("peer-orthanc")
__all__ = ["film_house", "film_sim", "orthanc"]


def words(html: str) -> str:
    """The page's text."""
    main = html.split("<main", 1)[1]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def opened(house: House, user: int = 1) -> tuple[Phone, str]:
    """A phone, and the address of its card's reports."""
    return house.phone(user), f"/portal/cards/{house.bind(user)}/reports"


def test_the_list_shows_what_is_released_newest_first_and_when_it_was_asked(house: House) -> None:
    phone, path = opened(house)
    page = phone.get(path)
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    held = house.parts.his.ask(ReportsQuery("P0000001"), Ctx(deadline_s=5)).value
    assert re.findall(rf"{path}/([^\"]+)\"", page.text) == [one.report_no for one in held]
    assert [one.released_at for one in held] == sorted((one.released_at for one in held), reverse=True)
    assert "更新于" in page.text
    assert "暂时没有回应" not in page.text


def test_every_flag_is_a_word_with_an_icon_and_an_unknown_one_is_not_determined(house: House) -> None:
    phone, path = opened(house)
    page = phone.get(f"{path}/{LAB}").text
    flags = re.findall(r'<span class="flag flag--(\w+)"><svg.*?#([\w-]+)"></use></svg>(\S+?)</span>', page)
    assert ("warn", "arrow-up", "偏高") in flags
    assert ("warn", "arrow-down", "偏低") in flags
    assert ("ok", "check", "正常") in flags
    assert ("quiet", "circle-question-mark", "未判定") in flags
    assert "“未判定”的项目,医院没有标注高低,请问医生。" in page
    english = phone.get(f"{path}/{LAB}?lang=en").text
    assert {"High", "Low", "Normal", "Not determined"} <= set(re.findall(r"</svg>([A-Z][a-z ]+?)</span>", english))


def test_a_patient_without_reports_is_told_how_they_come(house: House) -> None:
    ctx = Ctx(deadline_s=5)
    for number in range(20, 200):
        if not house.parts.his.ask(ReportsQuery(f"P{number:07d}"), ctx).value:
            break
    card = str(600_000_000_000 + 17 * number)
    phone, binding = house.phone(1), house.bind(1, number=card)
    assert "报告由科室审核发布后才会出现在这里" in phone.get(f"/portal/cards/{binding}/reports").text


def test_a_hospital_whose_his_has_no_reports_does_not_offer_them(
    house: House, his_sim: HisSim, wechat_sim: WechatSim, tmp_path: Path
) -> None:
    mapping = yaml.safe_load(Path("his/vendors/renhe-json.yaml").read_text("utf-8"))
    del mapping["operations"]["list_reports"]
    (tmp_path / "no-reports.yaml").write_text(yaml.safe_dump(mapping, allow_unicode=True), "utf-8")
    options = {"base_url": his_sim.url, "token": his_sim.token, "mapping": str(tmp_path / "no-reports.yaml")}
    (tmp_path / "without").mkdir()
    for without in run_house(tmp_path / "without", his_sim, wechat_sim, his={"options": options}):
        for place, offered in ((house, True), (without, False)):
            phone = place.phone(1)
            place.bind(1)
            place.bind(1, BindingKind.ADMISSION, STAY)
            for path in ("/portal/", "/portal/cards", "/portal/admissions"):
                assert ("检查检验报告" in phone.get(path).text) is offered, path


def test_a_silent_his_leaves_what_was_seen_with_its_time_and_says_so_of_the_rest(house: House) -> None:
    phone, path = opened(house)
    phone.get(path)
    phone.get(f"{path}/{LAB}")
    house.his.fault("down")
    try:
        old = phone.get(path)
        assert old.status_code == 200
        assert "医院系统暂时没有回应" in old.text
        assert "时的报告" in old.text
        assert "白细胞" in phone.get(f"{path}/{LAB}").text
        never = phone.get(f"{path}/{FILM}")
        assert never.status_code == 503
        assert "没有丢" in never.text
        assert f'href="{path}/{FILM}"' in never.text  # to try again
    finally:
        house.his.fault("none")


def test_only_the_owner_of_a_binding_sees_its_reports_and_only_its_patients(house: House) -> None:
    phone, path = opened(house)
    stranger = house.phone(2)
    assert stranger.get(path).status_code == 404
    assert stranger.get(f"{path}/{LAB}").status_code == 404
    others = house.bind(2, number=OTHER_CARD)
    assert stranger.get(f"/portal/cards/{others}/reports/{LAB}").status_code == 404
    assert stranger.get(f"/portal/admissions/{others}/reports").status_code == 404
    assert phone.get(f"{path}/{'9' * 65}").status_code == 404
    nobody = house.phone(3, signed_in=False)
    assert nobody.get(path, allow_redirects=False).status_code == 303


def test_a_stay_lists_the_reports_of_that_stay(house: House) -> None:
    phone, binding = house.phone(1), house.bind(1, BindingKind.ADMISSION, STAY)
    page = phone.get(f"/portal/admissions/{binding}/reports")
    assert page.status_code == 200
    numbers = re.findall(r"/reports/(B\d+)\"", page.text)
    patient = house.person(BindingKind.ADMISSION, STAY).patient_id
    held = house.parts.his.ask(ReportsQuery(patient, admission_no=STAY), Ctx(deadline_s=5)).value
    assert numbers == [one.report_no for one in held]
    assert numbers


def test_a_stay_opens_no_report_that_its_patient_had_elsewhere(house: House) -> None:
    ctx = Ctx(deadline_s=5)
    for last in range(1, 60):
        stay = f"20260001{last:02d}"
        patient = house.person(BindingKind.ADMISSION, stay)
        everything = {one.report_no for one in house.parts.his.ask(ReportsQuery(patient.patient_id), ctx).value}
        here = {
            one.report_no for one in house.parts.his.ask(ReportsQuery(patient.patient_id, admission_no=stay), ctx).value
        }
        if here and everything - here:
            break
    own, elsewhere = min(here), min(everything - here)
    phone = house.phone(1)
    path = f"/portal/admissions/{house.bind(1, BindingKind.ADMISSION, stay)}/reports"
    assert phone.get(f"{path}/{own}").status_code == 200
    assert phone.get(f"{path}/{elsewhere}").status_code == 404
    assert phone.get(f"{path}/{elsewhere}/images/1").status_code == 404
    card = next(
        one.card_no for one in house.parts.his.ask(PatientQuery(patient_id=patient.patient_id), ctx).value.cards
    )
    by_card = house.bind(1, number=card)  # control: the same report, by the binding that may
    assert phone.get(f"/portal/cards/{by_card}/reports/{elsewhere}").status_code == 200


def test_the_film_of_8_mb_reaches_the_phone_in_at_most_200_kb(film_house: House, orthanc: Orthanc) -> None:
    phone, path = opened(film_house)
    page = phone.get(f"{path}/{FILM}").text
    (picture,) = re.findall(r"<img [^>]+>", page)
    assert 'width="600" height="600"' in picture
    assert 'loading="lazy"' in picture
    assert "第 1 幅,共 1 幅" in picture
    assert DX_STUDY not in page
    sources = re.findall(r"(/portal/cards/\S+?/images/1\?w=\d+) \d+w", picture)
    assert len(sources) == 2
    for source in sources:
        image = phone.get(source)
        assert image.status_code == 200
        assert image.headers["Content-Type"] == "image/jpeg"
        assert image.headers["Cache-Control"] == "private, max-age=600"
        print(f"\n8 MB DX through the portal, {source[-6:]}: {len(image.content)} bytes")
        assert len(image.content) <= 200_000
        assert cv2.imdecode(np.frombuffer(image.content, np.uint8), cv2.IMREAD_GRAYSCALE).std() > 20
    before = orthanc.calls()
    assert phone.get(sources[0]).content
    assert orthanc.calls() == before


def test_nothing_is_fetched_from_the_pacs_for_anybody_else(film_house: House, orthanc: Orthanc) -> None:
    phone, path = opened(film_house)
    phone.get(f"{path}/{FILM}")
    stranger, others = film_house.phone(2), film_house.bind(2, number=OTHER_CARD)
    before = orthanc.calls()
    for somebody, address in (
        (stranger, f"{path}/{FILM}/images/1"),  # another's binding
        (stranger, f"/portal/cards/{others}/reports/{FILM}/images/1"),  # own binding, another's report
        (stranger, f"/portal/cards/{others}/reports/{DX_STUDY}/images/1"),  # a study in place of a report
        (stranger, f"/portal/admissions/{others}/reports/{FILM}/images/1"),
        (phone, f"{path}/{LAB}/images/1"),  # a report without images
        (phone, f"{path}/B9999999/images/1"),
        (phone, f"{path}/{FILM}/images/1?w=9999"),
        (phone, f"{path}/{FILM}/images/{DX_STUDY}"),
    ):
        assert somebody.get(address).status_code == 404, address
    assert orthanc.calls() == before
    assert phone.get(f"{path}/{FILM}/images/0").status_code == 404
    assert phone.get(f"{path}/{FILM}/images/2").status_code == 404


def test_unbinding_ends_the_right_to_the_images_at_once(film_house: House, orthanc: Orthanc) -> None:
    phone, path = opened(film_house)
    assert phone.get(f"{path}/{FILM}").status_code == 200
    assert phone.get(f"{path}/{FILM}/images/1").status_code == 200
    phone.post(path.replace("/reports", "/unbind"))
    assert phone.get(f"{path}/{FILM}/images/1").status_code == 404


@pytest.fixture
def withdraw(film_sim: HisSim) -> Iterator[Callable[[], None]]:
    """Takes the film's report back in the HIS, until the test is over."""

    def put(released_at: str | None) -> str:
        with closing(sqlite3.connect(film_sim.db, timeout=10)) as db, db:
            (was,) = db.execute("SELECT released_at FROM reports WHERE report_no = ?", (FILM,)).fetchone()
            db.execute("UPDATE reports SET released_at = ? WHERE report_no = ?", (released_at, FILM))
        return str(was)

    was: list[str] = []
    yield lambda: was.append(put(None))
    for released_at in was:
        put(released_at)


@pytest.mark.parametrize("told", ["by the HIS", "by looking"])
def test_images_go_with_the_report_that_is_withdrawn(
    film_house: House, withdraw: Callable[[], None], told: str
) -> None:
    phone, path = opened(film_house)
    assert phone.get(f"{path}/{FILM}").status_code == 200
    assert phone.get(f"{path}/{FILM}/images/1").status_code == 200
    withdraw()
    if told == "by the HIS":
        at = film_house.parts.clock.now()
        event = HisEvent("bridge:lis", new_id(), HisEventKind.REPORT_RELEASED, at, "P0000001", FILM)
        film_house.parts.his_events.handle(event)
    else:
        assert phone.get(f"{path}/{FILM}").status_code == 404
    assert phone.get(f"{path}/{FILM}/images/1").status_code == 404
    film_house.his.fault("down")
    try:
        assert phone.get(f"{path}/{FILM}").status_code == 503, "not even as an old copy"
    finally:
        film_house.his.fault("none")


def test_a_pacs_that_is_stopped_leaves_the_text_of_the_report(film_house: House, orthanc: Orthanc) -> None:
    phone, path = opened(film_house)
    orthanc.freeze()
    try:
        started = time.monotonic()
        page = phone.get(f"{path}/{FILM}")
        took = time.monotonic() - started
        assert page.status_code == 200
        assert "检查所见" in page.text
        assert "影像系统暂时没有回应" in page.text
        assert "<img" not in page.text
        print(f"\nPACS frozen: the report opened after {took:.2f} s")
        assert took < 3
        image = phone.get(f"{path}/{FILM}/images/1")
        assert image.status_code == 503
        assert image.headers["Cache-Control"] == "no-store"
    finally:
        orthanc.thaw()


def test_what_is_no_picture_says_so_in_its_place(film_house: House) -> None:
    phone, path = opened(film_house)
    page = phone.get(f"{path}/{ULTRASOUND}")
    assert "这一份不是图像" in words(page.text)
    assert "<img" not in page.text
    assert phone.get(f"{path}/{ULTRASOUND}/images/1").status_code == 400


@pytest.fixture
def bare_house(tmp_path: Path, film_sim: HisSim, wechat_sim: WechatSim) -> Iterator[House]:
    film_sim.fault("none")
    yield from run_house(tmp_path, film_sim, wechat_sim)


def test_without_a_pacs_the_report_says_where_its_images_are(bare_house: House) -> None:
    phone, path = opened(bare_house)
    page = phone.get(f"{path}/{FILM}")
    assert page.status_code == 200
    assert "图像不能在手机上看" in page.text
    assert phone.get(f"{path}/{FILM}/images/1").status_code == 404


def test_home_and_list_lead_to_the_reports(house: House) -> None:
    phone, path = opened(house)
    assert f'href="{path}"' in phone.get("/portal/").text
    assert f'href="{path}"' in phone.get("/portal/cards").text
