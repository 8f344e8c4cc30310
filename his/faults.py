"""How a call can go wrong between us and a HIS, before anybody knows whether it was a read or a write."""


class NotSent(Exception):
    """Not one byte of the request left this machine, or the HIS said for sure that it did not carry it out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Broken(Exception):
    """The request left, wholly or in part, and no usable response came.

    `silent`: not one byte of the response was seen, which is how a kept-alive connection closed by the peer looks.
    """

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.silent = silent


class Duplicate(Exception):
    """The HIS says that this op_key is in its books already: the write is done, its answer must be asked for."""
