"""`soap` with the bundled mapping renhe-soap, against the simulated HIS's SOAP service."""

from datetime import datetime
from pathlib import Path

from core.clock import SHANGHAI
from his.gateway import Gateway
from his.soap import SoapAdapter, SoapOptions
from tests.contracts.subject import Subject
from tests.contracts.subject_rest import subject_of
from tests.support.sims import start_his


def start(folder: Path) -> Subject:
    """The simulator with its clock at half past seven, when every clinic of today is still to come."""
    sim = start_his(folder, soap=True)
    now = datetime.now(SHANGHAI)
    sim.clock((now.replace(hour=7, minute=30, second=0) - now).total_seconds())
    options = {"url": sim.soap_url, "token": sim.token, "wsdl": f"{sim.soap_url}?wsdl"}
    return subject_of("soap", sim, Gateway(SoapAdapter(SoapOptions.model_validate(options))))
