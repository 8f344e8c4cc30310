"""The door of kiosk, counter, ward and queue screens."""

from kiosk_ui.routes import blueprint

__all__ = ["blueprint"]
