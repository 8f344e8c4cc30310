"""The door of kiosk, counter, ward and queue screens."""
