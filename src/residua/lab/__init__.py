"""The lab: a page over a folder of runs, to read, compare and look into; no login, no database."""
