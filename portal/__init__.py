"""The patients' door: WeChat login, cards and stays, e-card and e-wristband."""

from portal import codes, home, login, people
from portal.door import STEPS, blueprint

__all__ = ["STEPS", "blueprint", "codes", "home", "login", "people"]
