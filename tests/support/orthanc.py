"""Orthanc, a PACS nobody here wrote, from Debian's packages, filled with real and with made images."""

from __future__ import annotations

import io
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "palm", "password-of-tests"
DX_STUDY = "1.2.826.0.1.3680043.10.1338.1"
"""A chest film of 8 MB, made here, with a Chinese name in GB18030."""
PAIR_STUDY = "1.2.826.0.1.3680043.10.1338.2"
"""Two series whose instances were sent in the wrong order."""


@dataclass
class Orthanc:
    """A running PACS on loopback."""

    port: int
    folder: Path
    proc: subprocess.Popen[bytes]
    studies: dict[str, str]
    """File name of pydicom's -> its study's UID."""

    @property
    def url(self) -> str:
        """Its REST root; DICOMweb is below /dicom-web."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, Any]:
        """The section `his.pacs` for it."""
        return {"url": f"{self.url}/dicom-web", "auth": f"{USER}:{PASSWORD}"}

    def send(self, dicom: bytes) -> None:
        """Store one object."""
        answer = requests.post(f"{self.url}/instances", data=dicom, auth=(USER, PASSWORD), timeout=20)
        assert answer.status_code == 200, answer.text

    def calls(self) -> int:
        """How many requests it has seen, as its own log counts them."""
        return (self.folder / "log").read_text("utf-8", "replace").count("(http)")

    def freeze(self) -> None:
        """Stop it where it stands."""
        self.proc.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.proc.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it and remove its folder."""
        self.thaw()
        self.proc.terminate()
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_orthanc() -> Orthanc | str:
    """Filled and running, or the reason why there is none."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not PLUGIN.exists():
        return "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
    folder = Path(tempfile.mkdtemp(prefix="palm-orthanc-", dir="/tmp"))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    config = {
        "Name": "palm", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": port,
        "HttpServerEnabled": True, "RemoteAccessAllowed": False, "DicomServerEnabled": False,
        "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD}, "DefaultEncoding": "Utf8",
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with (folder / "log").open("wb") as log:
        proc = subprocess.Popen([program, "--verbose", str(folder / "config.json")], stdout=log, stderr=log)
    pacs = Orthanc(port, folder, proc, {})
    until = time.monotonic() + 30
    while time.monotonic() < until and proc.poll() is None:
        with suppress(requests.RequestException):
            requests.get(f"{pacs.url}/system", auth=(USER, PASSWORD), timeout=2)
            _fill(pacs)
            return pacs
        time.sleep(0.1)
    said = (folder / "log").read_text("utf-8", "replace")[-300:]
    pacs.stop()
    return f"Orthanc did not start: {said}"


def _fill(pacs: Orthanc) -> None:
    import pydicom
    from pydicom.data import get_testdata_file

    for name in (
        "CT_small.dcm", "MR_small.dcm", "examples_palette.dcm", "examples_rgb_color.dcm", "examples_ybr_color.dcm",
        "test-SR.dcm",
    ):  # fmt: skip
        path = get_testdata_file(name, download=False)
        assert path is not None, name
        pacs.send(Path(path).read_bytes())
        pacs.studies[name] = str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    pacs.send(film(DX_STUDY, "1", "1", edge=2048))
    for series, number in (("2", "2"), ("1", "2"), ("2", "1"), ("1", "1")):
        pacs.send(film(PAIR_STUDY, series, number, edge=64))


def film(study: str, series: str, number: str, edge: int) -> bytes:
    """A film of `edge` x `edge` pixels of two bytes: something like a chest, with the noise of a real detector."""
    import numpy as np
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    noise = np.random.default_rng(int(series) * 100 + int(number))
    y, x = np.mgrid[0:edge, 0:edge] / edge - 0.5
    body = 3000 * np.exp(-(x**2 * 3 + y**2 * 2)) + 500 * np.sin(y * 80) * (np.abs(x) < 0.35) + 400 * (np.abs(x) < 0.04)
    pixels = np.clip(body + noise.normal(0, 120, (edge, edge)), 0, 4095).astype("<u2")
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{study}.{series}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, f"{study}.{series}"
    ds.SpecificCharacterSet, ds.PatientName, ds.PatientID = "GB18030", "王^小明", "P0000001"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "DX", series, number
    ds.StudyDate, ds.StudyTime = "20261124", "080000"
    ds.Rows = ds.Columns = edge
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = 2000, 4000
    ds.PixelData = pixels.tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Orthanc]:
    started = start_orthanc()
    if isinstance(started, str):
        pytest.skip(started)
    yield started
    started.stop()
