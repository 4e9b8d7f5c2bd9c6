"""Every port in memory, with a virtual clock: for tests and simulation."""
