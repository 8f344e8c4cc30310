"""One vendor's HIS described in one YAML file: what is sent, where the answer stands, what its codes mean.

    mapper = Mapper(load("renhe-json"))                    # or a path; compiled once, thread-safe
    wire = mapper.request(PatientQuery(card_no="6000…"))   # {"card_no": "6000…"}: plain values for any transport
    patient = mapper.answer(query, reply)                  # reply: a plain tree (dict, list, text, number, bool, None)
    mapper.resolve_request(command); mapper.resolution(command, reply)

`answer` raises NotFound, Rejected, Duplicate and Broken only; a request the mapping cannot write is NotSent.
Numbers with decimals should reach it as Decimal or text: money is exact.
"""

from his.mapping.load import Loaded, bundled, load, read
from his.mapping.mapper import Mapper
from his.mapping.misfit import Misfit
from his.mapping.schema import Mapping

__all__ = ["Loaded", "Mapper", "Mapping", "Misfit", "bundled", "load", "read"]
