"""The running portal for the tests of this room."""

from tests.support.house import his_sim, house, wechat_sim

__all__ = ["his_sim", "house", "wechat_sim"]
