"""HL7 v2 in, through the hub as it runs: `his.mllp` of config.yaml, the real store, kill -9."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import yaml
from click.testing import CliRunner

from hospital.cli import main
from tests.support.hub import HubHouse
from tests.support.mllp import Plain, free_port, msa

ADT = (
    "MSH|^~\\&|HIS|RENHE|PALM|H|20261124093000||ADT^A03|M{n}|P|2.5\r"
    "PID|1||P0000002^^^HIS^PI||李^秀英\rPV1|1|I|W01^3^05||||||||||||||||2026000101\r"
)


def set_mllp(house: HubHouse, **mllp: Any) -> None:
    config = yaml.safe_load(house.config.read_text("utf-8"))
    config["his"]["mllp"] = mllp
    house.config.write_text(yaml.safe_dump(config), "utf-8")


def ask(port: int, number: int) -> tuple[str, str]:
    peer = Plain(port)
    try:
        return msa(peer.ask(ADT.format(n=number).encode()))
    finally:
        peer.close()


def stored(house: HubHouse) -> list[tuple[str, str, str]]:
    with house.opened() as store:
        return [(event.event_id, event.kind, event.ref) for _, event in store.his_events.after(0, 100)]


def test_the_hub_stores_an_event_before_it_answers_and_once_over_a_kill(make_house: Callable[..., HubHouse]) -> None:
    house = make_house()
    port = free_port()
    set_mllp(house, port=port, peers=["127.0.0.1"], receiving_application="PALM")
    house.start()
    assert ask(port, 1) == ("AA", "M1")
    assert stored(house) == [("M1", "discharged", "2026000101")]
    house.kill()
    house.start()
    assert ask(port, 1) == ("AA", "M1")
    assert ask(port, 2) == ("AA", "M2")
    assert [row[0] for row in stored(house)] == ["M1", "M2"]


def test_a_control_id_used_again_for_something_else_is_refused(make_house: Callable[..., HubHouse]) -> None:
    house = make_house()
    port = free_port()
    set_mllp(house, port=port, peers=["127.0.0.1"])
    house.start()
    peer = Plain(port)
    first = ADT.format(n=1).encode()
    assert msa(peer.ask(first)) == ("AA", "M1")
    assert msa(peer.ask(first.replace(b"2026000101", b"2026000102"))) == ("AR", "M1")
    peer.close()
    assert [row[2] for row in stored(house)] == ["2026000101"]


def test_wrong_settings_name_their_key(
    make_house: Callable[..., HubHouse],
) -> None:
    house = make_house()
    for mllp, word in (
        ({"port": 2575}, "his.mllp.peers"),
        ({"peers": ["127.0.0.1"], "prot": 1}, "his.mllp.prot"),
        ({"peers": ["nobody"]}, "his.mllp.peers"),
    ):
        set_mllp(house, **mllp)
        done = CliRunner().invoke(main, ["check-config", "--config", str(house.config)])
        assert done.exit_code != 0
        assert word in done.output


def test_a_port_that_is_taken_is_said_and_the_hub_does_not_start(make_house: Callable[..., HubHouse]) -> None:
    house = make_house()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        set_mllp(house, port=taken.getsockname()[1], peers=["127.0.0.1"])
        try:
            house.start()
        except AssertionError:
            assert "his.mllp.port" in house.said()
        else:
            raise AssertionError("the hub started without its listener")
