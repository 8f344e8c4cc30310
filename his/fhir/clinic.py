"""The clinic's plan: departments, doctors, half days with their numbers, and free times.

A Schedule of FHIR may reach over weeks; ours is a half day. `schedule_id` is therefore `<id>:<yyyymmdd>:<m|a|e>`,
and what is left of it is counted over its Slots. FHIR R4 prices no Slot: `fee_fen` is 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from core.clock import SHANGHAI
from his.faults import Broken
from his.fhir.client import FhirClient, Resource
from his.fhir.elements import identifiers, instant, objects, one, ref_id, reference, required, text, words
from his.fhir.options import FhirOptions
from his.fhir.people import name_of
from his.port import (
    DayPart,
    Department,
    DepartmentsQuery,
    Doctor,
    DoctorsQuery,
    NotFound,
    Schedule,
    SchedulesQuery,
    ScheduleState,
    Slot,
    SlotsQuery,
)

LETTERS = {DayPart.MORNING: "m", DayPart.AFTERNOON: "a", DayPart.EVENING: "e"}
TOGETHER = 40  # ids in one search: a URL stays far below 8 KiB
CLINICS = ("Organization", "HealthcareService")


@dataclass(frozen=True, slots=True)
class Place:
    """Who sits where in a Schedule."""

    doctor_code: str = ""
    doctor_name: str = ""
    department_code: str = ""
    department_name: str = ""
    room: str = ""
    title: str = ""


class Clinic:
    """Reads the plan; thread-safe."""

    def __init__(self, client: FhirClient, options: FhirOptions) -> None:
        self._client = client
        self._options = options

    def departments(self, query: DepartmentsQuery, deadline: float) -> tuple[Department, ...]:
        """Active departments, by name."""
        kind = self._options.departments
        found = self._client.search(kind, {"type": "dept"} if kind == "Organization" else {"active": "true"}, deadline)
        listed = [_department(one_) for one_ in found if one_.get("active") is not False]
        return tuple(sorted((it for it in listed if query.campus_code in ("", it.campus_code)), key=lambda it: it.name))

    def doctors(self, query: DoctorsQuery, deadline: float) -> tuple[Doctor, ...]:
        """Active roles whose person is known, one a department."""
        roles = self._client.search("PractitionerRole", {"active": "true"}, deadline)
        ids = {ref_id(one(role, "practitioner"), "Practitioner") for role in roles} - {""}
        people = self._named("Practitioner", ids, deadline)
        found = {}
        for role in roles:
            code = ref_id(one(role, "practitioner"), "Practitioner")
            department, name = self._department_of(role)
            if role.get("active") is False or code not in people or query.department_code not in ("", department):
                continue
            found[code, department] = Doctor(code, people[code], _title(role), department, name, _skill(role))
        return tuple(found.values())

    def schedules(self, query: SchedulesQuery, deadline: float) -> tuple[Schedule, ...]:
        """The half days that have Slots, in the order of time."""
        wanted = self._client.search("Schedule", {"date": _span(query.from_day, query.to_day)}, deadline)
        places = self._places(wanted, deadline)
        active = {required(plan, "id"): plan.get("active") is not False for plan in wanted}
        halves: dict[tuple[str, date, DayPart], list[Resource]] = {}
        for slot in self._slots(active, query.from_day, query.to_day, deadline):
            starts = begins(slot)
            halves.setdefault((ref_id(one(slot, "schedule"), "Schedule"), starts.date(), half(starts)), []).append(slot)
        found = []
        for (plan_id, day, part), slots in sorted(
            halves.items(), key=lambda pair: (pair[0][1], begins(pair[1][0]), pair[0][0])
        ):
            place = places[plan_id]
            other = query.department_code not in ("", place.department_code)
            if other or query.doctor_code not in ("", place.doctor_code):
                continue
            stopped = not active[plan_id] or all(text(slot, "status") == "busy-unavailable" for slot in slots)
            found.append(
                Schedule(
                    schedule_id=f"{plan_id}:{day:%Y%m%d}:{LETTERS[part]}", day=day, day_part=part,
                    doctor_code=place.doctor_code, doctor_name=place.doctor_name,
                    department_code=place.department_code, department_name=place.department_name,
                    title=place.title, room=place.room, total=len(slots), left=sum(map(self.free, slots)),
                    state=ScheduleState.STOPPED if stopped else ScheduleState.OPEN,
                )
            )  # fmt: skip
        return tuple(found)

    def slots(self, query: SlotsQuery, deadline: float) -> tuple[Slot, ...]:
        """Every time of one half day; a taken one has `left` 0."""
        plan_id, day, part = parse(query.schedule_id)
        plan = self._client.read("Schedule", plan_id, deadline)
        found = [slot for slot in self._slots([plan_id], day, day, deadline) if half(begins(slot)) is part]
        open_ = plan.get("active") is not False
        return tuple(
            Slot(
                required(slot, "id"),
                query.schedule_id,
                begins(slot),
                instant(slot, "end"),
                int(open_ and self.free(slot)),
            )
            for slot in sorted(found, key=begins)
        )

    def free(self, slot: Resource) -> bool:
        """Whether somebody may take it: free, or held by this service longer than a hold lasts."""
        status = text(slot, "status")
        if status != "busy-tentative":
            return status == "free"
        ours = any(identifiers(slot, self._options.op_key_system))
        since = instant(one(slot, "meta"), "lastUpdated")
        lapsed = timedelta(minutes=self._options.hold_minutes)
        return ours and since is not None and datetime.now(SHANGHAI) - since > lapsed

    def place(self, plan_id: str, deadline: float) -> Place:
        """Who sits where in one Schedule; empty when it is gone."""
        try:
            plan = self._client.read("Schedule", plan_id, deadline)
        except NotFound:
            return Place()
        return self._places([plan], deadline)[plan_id]

    def places(self, plan_ids: Iterable[str], deadline: float) -> dict[str, Place]:
        """Who sits where in each of these Schedules; those that are gone are left out."""
        plans = [
            plan
            for ids in _chunks(plan_ids)
            for plan in self._client.search("Schedule", {"_id": ",".join(ids)}, deadline)
        ]
        return self._places(plans, deadline)

    def _slots(self, plan_ids: Iterable[str], first: date, last: date, deadline: float) -> list[Resource]:
        found = []
        for ids in _chunks(plan_ids):
            plans = ",".join(f"Schedule/{plan_id}" for plan_id in ids)
            asked = self._client.search("Slot", {"schedule": plans, "start": _span(first, last)}, deadline)
            found += [slot for slot in asked if ref_id(one(slot, "schedule"), "Schedule") in ids]
        kept = [slot for slot in found if text(slot, "status") != "entered-in-error"]
        return [slot for slot in kept if first <= begins(slot).date() <= last]

    def _places(self, plans: list[Resource], deadline: float) -> dict[str, Place]:
        """What the actors of the Schedules are called; names that no display tells are looked up together."""
        role_ids = {ref_id(actor, "PractitionerRole") for plan in plans for actor in objects(plan, "actor")} - {""}
        roles = {required(role, "id"): role for role in self.by_id("PractitionerRole", role_ids, deadline)}
        who = {required(plan, "id"): [*objects(plan, "actor"), *_behind(plan, roles)] for plan in plans}
        nameless: dict[str, set[str]] = {}
        for actors in who.values():
            for actor in actors:
                kind, actor_id = reference(actor)
                if kind in ("Practitioner", *CLINICS) and not text(actor, "display"):
                    nameless.setdefault(kind, set()).add(actor_id)
        names = {kind: self._named(kind, ids, deadline) for kind, ids in nameless.items()}
        titles = {plan_id: next((_title(roles[r]) for a in actors if (r := ref_id(a, "PractitionerRole")) in roles), "")
                  for plan_id, actors in who.items()}  # fmt: skip
        return {plan_id: self._place(actors, names, titles[plan_id]) for plan_id, actors in who.items()}

    def _place(self, actors: list[Resource], names: dict[str, dict[str, str]], title: str) -> Place:
        found: dict[str, tuple[str, str]] = {}
        for actor in actors:
            kind, actor_id = reference(actor)
            found.setdefault(kind, (actor_id, text(actor, "display") or names.get(kind, {}).get(actor_id, "")))
        doctor = found.get("Practitioner", ("", ""))
        department = found.get(self._options.departments) or next((found[k] for k in CLINICS if k in found), ("", ""))
        return Place(*doctor, *department, room=found.get("Location", ("", ""))[1], title=title)

    def _department_of(self, role: Resource) -> tuple[str, str]:
        if self._options.departments == "Organization":
            at = [one(role, "organization")]
        else:
            at = objects(role, "healthcareService")
        return next(
            ((found, text(ref, "display")) for ref in at if (found := ref_id(ref, self._options.departments))), ("", "")
        )

    def _named(self, kind: str, ids: Iterable[str], deadline: float) -> dict[str, str]:
        found = self.by_id(kind, ids, deadline)
        return {required(it, "id"): name_of(it) if kind == "Practitioner" else text(it, "name") for it in found}

    def by_id(self, kind: str, ids: Iterable[str], deadline: float) -> list[Resource]:
        """The resources of these ids; those that are gone are left out."""
        return [it for part in _chunks(ids) for it in self._client.search(kind, {"_id": ",".join(part)}, deadline)]


def parse(schedule_id: str) -> tuple[str, date, DayPart]:
    """The Schedule's id, the day and the half of one of our schedule ids; NotFound when it is none."""
    plan_id, _, rest = schedule_id.partition(":")
    day, _, letter = rest.partition(":")
    part = next((part for part, it in LETTERS.items() if it == letter), None)
    if not plan_id or part is None or len(day) != 8 or not day.isdecimal():
        raise NotFound
    try:
        return plan_id, date.fromisoformat(day), part
    except ValueError:
        raise NotFound from None


def half(at: datetime) -> DayPart:
    """上午 before 12:00, 下午 before 18:00, then 晚上; by Shanghai's clock."""
    return DayPart.MORNING if at.hour < 12 else DayPart.AFTERNOON if at.hour < 18 else DayPart.EVENING


def begins(slot: Resource) -> datetime:
    """When a Slot starts; Broken when it does not say."""
    found = instant(slot, "start")
    if found is None:
        raise Broken("bad_reply")
    return found


def schedule_id(slot: Resource) -> str:
    """Our schedule id of a Slot."""
    starts = begins(slot)
    return f"{ref_id(one(slot, 'schedule'), 'Schedule')}:{starts:%Y%m%d}:{LETTERS[half(starts)]}"


def _span(first: date, last: date) -> tuple[str, str]:
    """The days as two search values, in instants: a server's own day may begin elsewhere."""
    ends = datetime.combine(last + timedelta(days=1), time(), SHANGHAI)
    return f"ge{datetime.combine(first, time(), SHANGHAI).isoformat()}", f"lt{ends.isoformat()}"


def _chunks(ids: Iterable[str]) -> list[list[str]]:
    listed = sorted(set(ids))
    return [listed[at : at + TOGETHER] for at in range(0, len(listed), TOGETHER)]


def _behind(plan: Resource, roles: dict[str, Resource]) -> list[Resource]:
    """The references a Schedule's PractitionerRoles hold."""
    found: list[Resource] = []
    for actor in objects(plan, "actor"):
        if (role := roles.get(ref_id(actor, "PractitionerRole"))) is not None:
            found += [one(role, "practitioner"), one(role, "organization"), *objects(role, "healthcareService")]
            found += objects(role, "location")
    return found


def _department(found: Resource) -> Department:
    part_of = one(found, "partOf") or one(found, "providedBy")
    return Department(
        code=required(found, "id"),
        name=required(found, "name"),
        campus_code=ref_id(part_of, "Organization"),
        campus_name=text(part_of, "display"),
        place=next((text(at, "display") for at in objects(found, "location")), ""),
        intro=text(found, "comment"),
    )


def _title(role: Resource) -> str:
    return next((said for concept in objects(role, "code") if (said := words(concept))), "")


def _skill(role: Resource) -> str:
    return "、".join(said for concept in objects(role, "specialty") if (said := words(concept)))
