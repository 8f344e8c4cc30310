"""The `rest` adapter: a HIS that speaks JSON or forms over HTTP, described by a mapping (`his.mapping`)."""

from his.rest.adapter import RestAdapter
from his.rest.options import RestOptions

OPTIONS = RestOptions
make = RestAdapter

__all__ = ["OPTIONS", "RestAdapter", "RestOptions", "make"]
