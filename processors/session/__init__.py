"""The pure machine of one session: events in, report rows out. No I/O, no clock, no chance."""
