"""The front door: builds the parts, wires events to listeners, runs."""
