"""Finds out what became of writes that nobody knows the fate of: asks the HIS, sends again only where that is safe.

"Not done" settles nothing by itself, since a write in a queue may land later. It counts when it was heard twice,
`confirm_s` apart, and `longest_processing_s` have passed since the HIS was last silent. Then: a HIS that keeps each
op_key once gets the same command again; money goes to a person; everything else has not been done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from core.clock import Clock
from core.ids import new_id
from his.port import BY_OP, Command, Ctx, Done, HisPort, Lane, NotDone, Op, Unsupported, decode, encode
from services.his_writes import WriteNeedsPerson, WriteOptions, WriteSettled, attempt
from store.port_his import ASKED_STATES, FINAL_STATES, OPEN_STATES, Change, Intent, Intents, IntentState

log = logging.getLogger(__name__)

NOT_ASKED = frozenset({"breaker_open", "busy", "closed"})
"""Reasons of a question that never left: it counts for nothing, and the next one would not leave either."""


class HisResolver:
    """Several processes may run one each: a lease keeps them apart, and only the holder of the lease sends again."""

    def __init__(
        self, his: HisPort, intents: Intents, clock: Clock, publish: Callable[[object], None], options: WriteOptions
    ) -> None:
        self._his, self._intents, self._clock = his, intents, clock
        self._publish, self._options = publish, options
        self._owner = new_id()
        self._sure_after: dict[str, float] = {}
        """From when this process believes a "not done", monotonic: a wall clock that jumps must not confirm anything."""

    def round(self) -> int:
        """Look at every intent that is due; how many came to an end. Stops early when the HIS cannot be asked at all."""
        ended = 0
        lease = timedelta(seconds=self._options.ask_s + self._options.deadline_s + self._options.margin_s)
        while True:
            now = self._clock.now()
            intent = self._intents.claim(self._owner, now, now + lease)
            if intent is None:
                return ended
            state = self._look(intent)
            if state is None:
                return ended
            ended += state in FINAL_STATES

    def hurry(self) -> int:
        """The HIS is back: everything unknown is due now. How many."""
        count = self._intents.hurry(self._clock.now())
        if count:
            log.info("the HIS is back: asking about %d writes", count)
        return count

    def _look(self, intent: Intent) -> IntentState | None:
        """Ask about one; the state it is in now, or None when the question could not be asked."""
        try:
            command: Command[Any] = decode(BY_OP[Op(intent.op)], intent.payload)
        except ValueError:
            return self._to_person(intent, "unreadable")
        try:
            found = self._his.resolve(
                command, Ctx(self._options.ask_s, actor="resolver", trace=intent.op_key, lane=Lane.JOB)
            )
        except Unsupported:
            return self._to_person(intent, "cannot_be_asked")
        if isinstance(found, Done):
            change = Change(IntentState.DONE, self._clock.now(), "", answer=encode(found.value))
            return self._move(intent, ASKED_STATES, change)
        if isinstance(found, NotDone):
            return self._not_done(intent, command)
        if found.reason in NOT_ASKED:
            self._intents.release(intent.op_key, self._owner, self._options.next_ask(0, self._clock.now()))
            return None
        now = self._clock.now()
        self._sure_after.pop(intent.op_key, None)  # it counts anew from here
        return self._wait(intent, Change(IntentState.UNKNOWN, now, found.reason or "still_unknown", silent_at=now))

    def _not_done(self, intent: Intent, command: Command[Any]) -> IntentState:
        now, options = self._clock.now(), self._options
        first, passed = intent.first_not_done or now, self._clock.monotonic()
        landed = max(intent.sent_at, intent.silent_at or intent.sent_at)
        landed += timedelta(seconds=options.longest_processing_s)
        wait_s = max(options.confirm_s, (landed - now).total_seconds())
        unconfirmed = timedelta(seconds=self._sure_after.setdefault(intent.op_key, passed + wait_s) - passed)
        sure_at = max(first + timedelta(seconds=options.confirm_s), landed, now + unconfirmed)
        if now < sure_at:
            wait = Change(IntentState.UNKNOWN, now, "not_found_yet", first_not_done=first, next_try=sure_at)
            return self._wait(intent, wait)
        if intent.state is IntentState.MANUAL:
            return self._wait(intent, Change(IntentState.MANUAL, now))
        if command.op in self._his.dedups:
            return self._send_again(intent, command)
        if command.money:
            return self._to_person(intent, "not_found")
        return self._move(intent, OPEN_STATES, Change(IntentState.NOT_DONE, now, "not_found"))

    def _send_again(self, intent: Intent, command: Command[Any]) -> IntentState:
        """The same command under the same op_key, to a HIS that keeps each op_key once."""
        now, options = self._clock.now(), self._options
        dead = now + timedelta(seconds=options.deadline_s + options.margin_s)
        if not self._intents.send_again(intent.op_key, self._owner, now, dead):
            return intent.state
        self._sure_after.pop(intent.op_key, None)
        log.info("his write op=%s op_key=%s is sent again", intent.op, intent.op_key)
        ctx = Ctx(options.deadline_s, actor=intent.actor, trace=intent.op_key, lane=Lane.JOB)
        change = attempt(self._his, command, ctx, self._clock.now, options).change
        if change.state is IntentState.UNSENT:  # this time; what the first sending did is as unknown as before
            change = replace(change, state=IntentState.UNKNOWN, next_try=options.next_ask(0, change.at))
        return self._move(intent, ASKED_STATES, change)

    def _to_person(self, intent: Intent, why: str) -> IntentState:
        """Onto the human list; it is still asked about, a late landing takes it off again."""
        if intent.state is IntentState.MANUAL:
            return self._wait(intent, Change(IntentState.MANUAL, self._clock.now()))
        now = self._clock.now()
        next_try = now + timedelta(seconds=self._options.then_every_s)
        return self._move(intent, OPEN_STATES, Change(IntentState.MANUAL, now, why, next_try=next_try))

    def _wait(self, intent: Intent, change: Change) -> IntentState:
        """Ask again by the schedule, or at `change.next_try` when that is sooner."""
        if intent.state is IntentState.MANUAL:
            next_try = change.at + timedelta(seconds=self._options.then_every_s)
            self._intents.release(intent.op_key, self._owner, next_try)
            return IntentState.MANUAL
        tries = intent.tries + 1
        scheduled = self._options.next_ask(tries, change.at)
        next_try = min(scheduled, change.next_try or scheduled)
        return self._move(intent, OPEN_STATES, replace(change, tries=tries, next_try=next_try))

    def _move(self, intent: Intent, sources: frozenset[IntentState], change: Change) -> IntentState:
        if not self._intents.move(intent.op_key, sources, change):  # its sender, a person or another process was first
            kept = self._intents.get(intent.op_key)
            return kept.state if kept is not None else intent.state
        if change.state in FINAL_STATES:
            self._sure_after.pop(intent.op_key, None)
            log.info("his write op=%s op_key=%s resolved as %s", intent.op, intent.op_key, change.state.value)
            self._publish(WriteSettled(intent.op_key, intent.op, change.state, intent.patient_id))
        elif change.state is IntentState.MANUAL:
            log.warning("his write op=%s op_key=%s needs a person: %s", intent.op, intent.op_key, change.why)
            self._publish(WriteNeedsPerson(intent.op_key, intent.op, intent.patient_id, change.why or ""))
        return change.state
