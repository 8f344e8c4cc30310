"""HL7 v2 over MLLP: the adapter for what we send (`OPTIONS`, `make`), and `his.hl7v2.listener` for what a HIS sends."""

from his.hl7v2.adapter import Hl7Adapter
from his.hl7v2.options import Hl7Options

OPTIONS = Hl7Options
make = Hl7Adapter
