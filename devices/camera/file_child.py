"""The child process that decodes image files: a JSON line {"file"} in, a JSON line with its codes out."""

import json
import stat
import sys
import time
from pathlib import Path
from typing import Any

from devices.camera.child import settle


def main() -> None:
    """Serve until standard input ends."""
    emit = settle(niceness=0)
    import cv2

    from devices.camera.cascade import Cascade

    cv2.setNumThreads(1)
    cascades: dict[tuple[str, ...], Cascade] = {}
    emit({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        formats = tuple(asked["formats"])
        if formats not in cascades:
            cascades[formats] = Cascade(formats)
        emit(_answer(Path(asked["file"]), cascades[formats]))


def _answer(file: Path, cascade: Any) -> dict[str, Any]:
    from devices.camera.images import UnreadableImageError, read_gray

    began = time.perf_counter()
    try:
        gray = read_gray(_bytes_of(file))
    except UnreadableImageError as unreadable:
        return {"error": str(unreadable), "ms": 0.0}
    except OSError as refused:
        return {"error": f"the file cannot be read ({refused.strerror})", "ms": 0.0}
    except MemoryError:
        return {"error": "the image needs too much memory", "ms": 0.0}
    codes = cascade.full(gray)
    return {
        "ms": (time.perf_counter() - began) * 1000,
        "codes": [
            {"text": c.text, "raw": c.raw.hex(), "symbology": c.symbology, "step": c.step, "aim": c.aim} for c in codes
        ],
    }


def _bytes_of(file: Path) -> bytes:
    from devices.camera.images import MAX_BYTES, UnreadableImageError

    with file.open("rb") as stream:
        if stat.S_ISDIR(file.stat().st_mode):
            raise UnreadableImageError("this is a folder")
        return stream.read(MAX_BYTES + 1)


if __name__ == "__main__":
    main()
