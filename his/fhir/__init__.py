"""The adapter for FHIR R4 servers: `OPTIONS` and `make`."""

from his.fhir.adapter import FhirAdapter
from his.fhir.options import FhirOptions

OPTIONS = FhirOptions
make = FhirAdapter
