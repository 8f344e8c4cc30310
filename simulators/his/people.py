"""The patients: thirteen fixed ones that demo and tests may name, and the rest of the 400 drawn from the seed.

ID numbers carry a right check digit and the area 990101, which GB/T 2260 gives to no place; phones are 1990000xxxx.
Card numbers are 600000000000 plus a multiple of 17, so that one wrong digit, or two swapped, is nobody's card.
"""

import random
from dataclasses import dataclass
from datetime import date, timedelta

from simulators.his import words

COUNT = 400
AREA = "990101"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True)
class Person:
    """A patient before it is a row; `sex` is "1" male or "2" female."""

    number: int
    name: str
    sex: str
    born: date
    deceased: bool = False
    balance_fen: int = 0
    same_as: int = 0  # the number of this person's first file, where a second was made by mistake

    @property
    def patient_id(self) -> str:
        """P0000001 …"""
        return f"P{self.number:07d}"

    @property
    def card_no(self) -> str:
        """The first card."""
        return card_no(self.number)

    @property
    def phone(self) -> str:
        """A block that belongs to nobody we know of."""
        return f"1990000{self.number:04d}"

    @property
    def id_no(self) -> str:
        """18 characters; the 17th is odd for men."""
        order = (self.same_as or self.number) % 499 * 2 + (1 if self.sex == "1" else 0)
        body = f"{AREA}{self.born:%Y%m%d}{order:03d}"
        return body + check_digit(body)


def card_no(number: int) -> str:
    """The `number`-th card: 12 digits starting with 60."""
    return str(600_000_000_000 + 17 * number)


def check_digit(body: str) -> str:
    """GB 11643-1999, ISO 7064 MOD 11-2, over the first 17 digits."""
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True)) % 11]


FIXED = (
    Person(1, "王小明", "1", date(1985, 3, 12), balance_fen=20_000),
    Person(2, "李秀英", "2", date(1952, 8, 23), balance_fen=5_050),
    Person(3, "𠮷田䶮", "1", date(1978, 11, 2), balance_fen=100),
    Person(4, "陈静", "2", date(1993, 5, 17)),
    Person(5, "张子涵", "1", date(2019, 6, 1), balance_fen=30_000),
    Person(6, "刘建国", "1", date(1948, 10, 1), deceased=True),
    Person(7, "赵敏", "2", date(1990, 1, 15), balance_fen=12_345),
    Person(8, "王伟", "1", date(1980, 4, 5), balance_fen=8_000),
    Person(9, "王伟", "1", date(1980, 9, 21), balance_fen=0),
    Person(10, "买买提·艾力", "1", date(1966, 7, 7), balance_fen=6_600),
    Person(11, "欧阳婉清", "2", date(1988, 12, 30), balance_fen=9_900),
    Person(12, "李秀英", "2", date(1961, 2, 3), balance_fen=1_500),
)


def everybody(seed: int, today: date) -> list[Person]:
    """COUNT people, the fixed ones first; the same list for the same seed and day."""
    rng = random.Random(f"{seed}:people")
    people = list(FIXED)
    while len(people) < COUNT:
        sex = rng.choice("12")
        age_days = int(rng.triangular(20, 92 * 365, 46 * 365))
        if len(people) % 9 == 0:  # a hospital with a children's clinic
            age_days = rng.randrange(20, 14 * 365)
        name = a_name(rng, sex)
        if len(people) % 40 == 0:
            name = people[-7].name
        balance = rng.choice((0, 0, rng.randrange(100, 60_000)))
        people.append(Person(len(people) + 1, name, sex, today - timedelta(days=age_days), False, balance))
    twice = people[11]
    people[-1] = Person(COUNT, twice.name, twice.sex, twice.born, same_as=twice.number)
    return people


def a_name(rng: random.Random, sex: str) -> str:
    """Two to four characters; about one in twenty-five has a rare one."""
    surname = rng.choice(words.DOUBLE_SURNAMES) if rng.random() < 0.02 else rng.choice(words.SURNAMES)
    given = words.MALE if sex == "1" else words.FEMALE
    name = surname + "".join(rng.sample(given, rng.choice((1, 2, 2))))
    return name[:-1] + rng.choice(words.RARE) if rng.random() < 0.04 else name
