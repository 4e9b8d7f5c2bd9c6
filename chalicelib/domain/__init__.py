"""The pure core: rules, resources, activity, decisions. No I/O, no clock, no ids, no library."""
