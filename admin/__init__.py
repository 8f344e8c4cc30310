"""The door of IT and content staff; the room is empty until the admin issue."""
