"""Packaging of the palm hospital; packages are listed by name so that nothing slips in."""

from setuptools import setup

PACKAGES = [
    "core",
    "core.codes",
    "store",
    "store.migrations",
    "his",
    "payments",
    "devices",
    "devices.camera",
    "devices.serial",
    "wechat",
    "services",
    "web",
    "portal",
    "kiosk_ui",
    "admin",
    "bridge",
    "hospital",
    "simulators",
    "simulators.his",
    "simulators.wechat",
    "simulators.scanner",
]

DOOR_FILES = ["templates/*.html", "templates/**/*.html", "static/*", "static/**/*"]

TEST = [
    "hypothesis",
    "import-linter",
    "mypy",
    "pillow",
    "playwright",
    "psycopg[binary]",
    "pytest",
    "pytest-socket",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "types-PyYAML",
    "types-pyserial",
    "types-requests",
    "websocket-client",
]
BENCH = ["aiohttp", "psutil", "pyserial-asyncio", "websocket-client", "websockets"]

setup(
    name="palm-hospital",
    version="0.1.0",
    description="Palm hospital (掌上医院): WeChat portal, scanners, screens and HIS bridge on the hospital LAN",
    python_requires=">=3.11",
    packages=PACKAGES,
    package_data={
        **dict.fromkeys(("web", "portal", "kiosk_ui", "admin", "bridge", "hospital"), DOOR_FILES),
        "hospital": [*DOOR_FILES, "config.default.yaml"],
        "web": [*DOOR_FILES, "translations/*/LC_MESSAGES/*"],
    },
    install_requires=[
        "Flask",
        "Flask-Babel",
        "Flask-SocketIO",
        "Flask-WTF",
        "PyYAML",
        "click",
        "cryptography",
        "gunicorn",
        "numpy",
        "opencv-python-headless",
        "peewee",
        "prometheus-client",
        "pydantic",
        "pyserial",
        "python-barcode",
        "pyzbar",
        "qrcode",
        "rich",
        "segno",
        "simple-websocket",
        "structlog",
        "wechatpy",
        "zxing-cpp",
    ],
    extras_require={"test": TEST, "bench": BENCH, "postgres": ["psycopg[binary]"]},
    entry_points={"console_scripts": ["hospital = hospital.cli:main"]},
)
