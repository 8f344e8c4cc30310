"""The simulated WeChat platform for the tests of this room."""

from tests.support.house import wechat_sim

__all__ = ["wechat_sim"]
