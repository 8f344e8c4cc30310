"""Scanners and cameras behind `devices.port`."""
