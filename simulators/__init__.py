"""The outside parties, each a process speaking its real wire protocol; shares no code with the house."""
