"""One front door for every code: issue and verify passes, classify what was read, draw what is shown."""
