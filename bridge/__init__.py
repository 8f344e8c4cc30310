"""The HIS-facing HTTP API; the room is empty until the HIS bridge issue."""
