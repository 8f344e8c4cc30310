"""Exam images over DICOMweb: `OPTIONS` is the section `his.pacs` of the configuration, `make` the port over it."""

from his.pacs.client import Dicomweb, PacsOptions
from his.pacs.keeping import KeepingPacs
from his.port import PacsPort

__all__ = ["OPTIONS", "Dicomweb", "KeepingPacs", "PacsOptions", "make"]

OPTIONS = PacsOptions


def make(options: PacsOptions, calls: int = 4) -> PacsPort:
    """A PACS whose answers are kept for a while; connects at the first call. `calls`: that may wait for it at once."""
    return KeepingPacs(Dicomweb(options), options.cache_mib * 1024 * 1024, options.keep_s, calls)
