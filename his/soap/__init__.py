"""The `soap` adapter: a HIS that speaks SOAP, usually with one string of inner XML, described by a mapping (`his.mapping`)."""

from his.soap.adapter import SoapAdapter
from his.soap.options import SoapOptions

OPTIONS = SoapOptions
make = SoapAdapter

__all__ = ["OPTIONS", "SoapAdapter", "SoapOptions", "make"]
