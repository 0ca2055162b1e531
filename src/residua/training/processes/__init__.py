"""The processes of a run: the group they form, their heartbeats, how a failure ends them all."""
