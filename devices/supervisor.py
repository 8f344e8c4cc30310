"""All devices of this machine: started, kept alive, reconfigured one by one, stopped together."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from devices.port import (
    READING_STATES,
    Applied,
    ApplyResult,
    DeviceConfig,
    DeviceError,
    DeviceState,
    DeviceStats,
    Driver,
    DriverFactory,
    DriverOptions,
    Feedback,
    Reading,
    Refused,
    StateChange,
)
from devices.runner import Runner
from devices.slot import Listeners, Slot

log = logging.getLogger(__name__)

STOP_S: Final = 2.0
_SWITCH_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """A checked configuration: its driver is built, not opened."""

    config: DeviceConfig
    options: DriverOptions
    driver: Driver


class Supervisor:
    """Owns every device's thread. `sink` is called on the device's delivery thread, listeners on any."""

    def __init__(
        self,
        drivers: Mapping[str, DriverFactory],
        sink: Callable[[Reading], None],
        on_state: Callable[[StateChange], None] = lambda _: None,
        on_overflow: Callable[[Reading], None] = lambda _: None,
    ) -> None:
        self._drivers = drivers
        self._listeners = Listeners(sink, on_state, on_overflow)
        self._lock = threading.Lock()
        self._slots: dict[str, Slot] = {}
        self._runners: dict[str, Runner] = {}
        self._stopped = False

    # ------------------------------------------------------------ configuration

    def apply(self, configs: Iterable[DeviceConfig]) -> dict[str, ApplyResult]:
        """Make these the devices. Only changed ones are touched; a bad one never stops what runs.

        A reading device is replaced only once the new options are seen to open: a different port is
        opened first, the same port is opened anew and, failing that, as it was before.
        """
        wanted = {config.code: config for config in configs}
        with self._lock:
            if self._stopped:
                return {code: Refused(code, "The devices are being stopped.", "device.stopping") for code in wanted}
            self._remove([code for code in self._slots if code not in wanted])
            results: dict[str, ApplyResult] = {}
            plans: list[_Plan] = []
            for config in wanted.values():
                outcome = self._check(config)
                if isinstance(outcome, _Plan):
                    plans.append(outcome)
                else:
                    results[config.code] = outcome
            plans = self._without_shared_ports(plans, results)
            results.update(self._switch(plans))
            return {code: results[code] for code in wanted}

    def _check(self, config: DeviceConfig) -> _Plan | ApplyResult:
        """Check one configuration; a disabled or unchanged one is settled here."""
        slot = self._slots.get(config.code)
        if slot is None:
            slot = self._slots[config.code] = Slot(config.code, self._listeners)
        if not config.enabled:
            return self._disable(config, slot)
        running = self._runners.get(config.code)
        failed = slot.state.state is DeviceState.FAILED
        if running is not None and _same(running.config, config) and not failed:
            running.config = config
            return Applied(config.code, restarted=False)
        factory = self._drivers.get(config.driver)
        if factory is None:
            return self._refuse(config, f"There is no driver called {config.driver}.", "device.no_driver")
        try:
            options = factory.options_model.model_validate(dict(config.options))
            return _Plan(config, options, factory(config.code, options))
        except ValidationError as wrong:
            return self._refuse(config, plain_sentence(wrong, factory.options_model), "device.bad_options")
        except DeviceError as wrong:
            return self._refuse(config, wrong.reason, wrong.code)

    def _disable(self, config: DeviceConfig, slot: Slot) -> Applied:
        running = self._runners.pop(config.code, None)
        if running is not None:
            running.ask_to_stop()
            running.join(time.monotonic() + STOP_S)
        slot.set_state(DeviceState.DISABLED, "Switched off in the settings.", "device.disabled")
        return Applied(config.code, restarted=running is not None)

    def _refuse(self, config: DeviceConfig, reason: str, code: str) -> Refused:
        """Refuse; only a device that runs nothing else shows it as its state."""
        if config.code not in self._runners:
            self._slots[config.code].set_state(DeviceState.FAILED, reason, code)
        return Refused(config.code, reason, code)

    def _without_shared_ports(self, plans: list[_Plan], results: dict[str, ApplyResult]) -> list[_Plan]:
        """Refuse a plan whose port another device keeps or was planned with before it."""
        changing = {plan.config.code for plan in plans}
        taken = {runner.resource: code for code, runner in self._runners.items() if code not in changing}
        kept = []
        for plan in plans:
            resource = plan.driver.resource
            holder = taken.get(resource) if resource else None
            if holder is not None:
                reason = f"{holder} already uses this port."
                results[plan.config.code] = self._refuse(plan.config, reason, "device.port_taken")
                continue
            taken[resource] = plan.config.code
            kept.append(plan)
        return kept

    # ------------------------------------------------------------ switching

    def _switch(self, plans: list[_Plan]) -> dict[str, ApplyResult]:
        """Replace running devices. Those whose ports are exchanged are stopped before any is opened."""
        old = {plan.config.code: self._runners.get(plan.config.code) for plan in plans}
        held = {runner.resource for runner in old.values() if runner is not None and runner.resource}
        coming = {plan.driver.resource for plan in plans}
        break_first = []
        results: dict[str, ApplyResult] = {}
        for plan in plans:
            runner = old[plan.config.code]
            reading = self._slots[plan.config.code].state.state in READING_STATES
            if runner is None or not reading or plan.driver.resource in held or runner.resource in coming:
                break_first.append(plan)
            else:
                results[plan.config.code] = self._make_before_break(plan, runner)
        was_reading = {
            plan.config.code: self._slots[plan.config.code].state.state in READING_STATES for plan in break_first
        }
        self._halt([runner for plan in break_first if (runner := old[plan.config.code]) is not None])
        for plan in break_first:
            results[plan.config.code] = self._open_or_go_back(
                plan, old[plan.config.code], must_open=was_reading[plan.config.code]
            )
        return results

    def _make_before_break(self, plan: _Plan, runner: Runner) -> ApplyResult:
        trouble = _try_open(plan.driver)
        if trouble is not None:
            return Refused(plan.config.code, trouble.reason, trouble.code)
        self._halt([runner])
        self._launch(plan, opened=True)
        return Applied(plan.config.code, restarted=True)

    def _open_or_go_back(self, plan: _Plan, runner: Runner | None, *, must_open: bool) -> ApplyResult:
        """Start the new; where the old one was reading, only if it opens, else the old one again."""
        if runner is None or not must_open:
            self._launch(plan, opened=False)
            return Applied(plan.config.code, restarted=runner is not None)
        trouble = _try_open(plan.driver)
        if trouble is None:
            self._launch(plan, opened=True)
            return Applied(plan.config.code, restarted=True)
        factory = self._drivers[runner.config.driver]
        options = factory.options_model.model_validate(dict(runner.config.options))
        self._launch(_Plan(runner.config, options, factory(runner.config.code, options)), opened=False)
        return Refused(plan.config.code, trouble.reason, trouble.code)

    def _launch(self, plan: _Plan, *, opened: bool) -> None:
        slot = self._slots[plan.config.code]
        slot.set_reread(plan.options.reread_ms)
        runner = Runner(plan.config, plan.driver, slot, opened=opened)
        self._runners[plan.config.code] = runner
        runner.start()

    def _halt(self, runners: list[Runner]) -> None:
        """Stop these together, and forget them."""
        for runner in runners:
            runner.ask_to_stop()
        deadline = time.monotonic() + _SWITCH_S
        for runner in runners:
            runner.join(deadline)
            self._runners.pop(runner.config.code, None)

    def _remove(self, codes: list[str]) -> None:
        self._halt([self._runners[code] for code in codes if code in self._runners])
        self._end_slots([self._slots.pop(code) for code in codes], time.monotonic() + STOP_S)

    @staticmethod
    def _end_slots(slots: list[Slot], deadline: float) -> None:
        for slot in slots:
            slot.ask_to_stop()
        for slot in slots:
            slot.finish(deadline)
            slot.set_state(DeviceState.DISABLED, "Stopped.", "device.stopped")

    # ------------------------------------------------------------ what others ask

    def states(self) -> dict[str, StateChange]:
        """Every device's present state, by code."""
        return {code: slot.state for code, slot in list(self._slots.items())}

    def stats(self) -> dict[str, DeviceStats]:
        """Every device's figures, by code."""
        return {code: slot.stats() for code, slot in list(self._slots.items())}

    def feedback(self, device: str, kind: Feedback) -> bool:
        """Beep or blink on a device; False when it is away or cannot. Never raises."""
        runner = self._runners.get(device)
        if runner is None:
            return False
        try:
            return runner.driver.feedback(kind)
        except Exception:
            log.exception("device %s: the driver failed to give feedback", device)
            return False

    def rearm(self, device: str) -> None:
        """ "Scan again": the next sighting of any code on this device counts."""
        slot = self._slots.get(device)
        if slot is not None:
            slot.rearm()

    def stop(self) -> None:
        """Stop everything within STOP_S; what a stuck sink never took is told as overflow. Safe twice."""
        deadline = time.monotonic() + STOP_S
        with self._lock:
            self._stopped = True
            runners = list(self._runners.values())
            for runner in runners:
                runner.ask_to_stop()
            for runner in runners:
                runner.join(deadline - 0.5)
            self._runners.clear()
            slots = list(self._slots.values())
            self._slots.clear()
            self._end_slots(slots, deadline)


def plain_sentence(wrong: ValidationError, model: type[DriverOptions]) -> str:
    """The first fault of some options as one sentence with the field's title; no value is repeated."""
    fault = wrong.errors(include_input=False, include_url=False, include_context=False)[0]
    name = str(fault["loc"][0]) if fault["loc"] else ""
    known = model.model_fields.get(name)
    title = (known.title if known else None) or name
    text = fault["msg"].removeprefix("Value error, ")
    return f"{title}: {text}." if title else f"{text}."


def _same(one: DeviceConfig, other: DeviceConfig) -> bool:
    """Equal but for the revision."""
    return (one.driver, dict(one.options), one.enabled) == (other.driver, dict(other.options), other.enabled)


def _try_open(driver: Driver) -> DeviceError | None:
    """Open; None when open, else why not, and everything released."""
    try:
        driver.open()
    except DeviceError as trouble:
        driver.close()
        return trouble
    except OSError as trouble:
        driver.close()
        return DeviceError(f"It cannot be opened ({trouble.strerror or type(trouble).__name__}).", "device.io")
    return None
