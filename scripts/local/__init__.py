"""The embedded cloud: everything of AutoStop on one machine, only the guests simulated."""
