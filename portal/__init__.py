"""The patients' door: WeChat login, cards and stays, e-card and e-wristband, reports."""

from portal import codes, home, login, people, reports
from portal.door import STEPS, blueprint

__all__ = ["STEPS", "blueprint", "codes", "home", "login", "people", "reports"]
