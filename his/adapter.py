"""What an adapter is: it translates one call each way and knows nothing of deadlines' classes, repeats or caches.

`his.gateway.Gateway` puts the guard, the checks and the cache around it and is the `HisPort` the house sees.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from his.port import Command, Op, Query, Resolution


@dataclass(slots=True)
class Call:
    """One call: its end on the monotonic clock."""

    deadline: float


class Adapter(Protocol):
    """One HIS in its own protocol; thread-safe, connects at the first call.

    Every method raises only NotFound, Rejected, NotSent (nothing left this machine), Broken (it left, and no usable
    answer came) and, for `do`, Duplicate.
    """

    @property
    def capabilities(self) -> frozenset[Op]:
        """What this HIS can do, as configured; honest: an operation not here raises Unsupported above."""

    @property
    def resolvable(self) -> frozenset[Op]:
        """Writes whose fate this HIS can be asked by op_key."""

    @property
    def dedups(self) -> frozenset[Op]:
        """Writes the HIS itself keeps once per op_key, so that sending the same one again is safe."""

    def ask(self, query: Query[Any], call: Call) -> Any:
        """The answer in the type the query names."""

    def do(self, command: Command[Any], call: Call) -> Any:
        """The answer in the type the command names. Sent once, whatever happens."""

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        """What became of the command."""

    def close(self) -> None:
        """Give back every connection."""
