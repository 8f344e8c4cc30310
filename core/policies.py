"""Rules of the house that differ between hospitals: the `policies` section of config.yaml."""

from __future__ import annotations

from pydantic import Field

from core.section import Section


class BindingLimits(Section):
    """Guards against guessing; counters live in the database and survive a restart."""

    fails_per_follower_hour: int = Field(5, ge=1, description="Failed attempts one WeChat user has per hour.")
    fails_per_number_day: int = Field(5, ge=1, description="Failed attempts against one card or stay per day.")
    fails_per_address_hour: int = Field(20, ge=1, description="Failed attempts from one address per hour.")
    cards_per_follower: int = Field(8, ge=1, le=50, description="Cards and stays one WeChat user may keep.")


class Policies(Section):
    """Rules of the house that differ between hospitals."""

    hospital_name: str = Field("仁和示范医院", min_length=1, description="Name shown to patients, zh-CN.")
    hospital_name_en: str = Field("Renhe Demo Hospital", min_length=1, description="Name shown to patients, English.")
    binding: BindingLimits = Field(BindingLimits(), description="Guards against guessing when cards are bound.")
    session_hours: int = Field(12, ge=1, le=720, description="Hours a patient stays signed in.")
    keep_events_days: int = Field(30, ge=1, le=3650, description="Days screens' event lists are kept.")
    keep_his_calls_days: int = Field(
        180, ge=30, le=3650, description="Days the log of calls to the HIS is kept; younger than 30 nobody can delete."
    )
