"""Options of HIS adapters: a wrong one is said without what was written, which may be a password."""

from __future__ import annotations

import importlib

import pytest
from pydantic import ValidationError

from hospital.bootstrap import HIS_ADAPTERS

SECRET = "s3cret-word"


@pytest.mark.parametrize("name", HIS_ADAPTERS)
def test_no_secret_stands_in_what_is_said_of_a_wrong_option(name: str) -> None:
    given = {"base_url": "http://10.1.2.3", "auth": "basic", "password": SECRET, "token": SECRET, "write_url": SECRET}
    for one in (given, {**given, "secrets": {"key": SECRET}, "host": "h", "ports": SECRET}):
        with pytest.raises(ValidationError) as caught:
            importlib.import_module(HIS_ADAPTERS[name]).OPTIONS.model_validate(one)
        assert SECRET not in str(caught.value)
