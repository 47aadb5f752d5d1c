"""What a call costs: time, work and memory, and what the machine could do.

Needs the standard library and torch alone: the gate sends these sources to interpreters that have nothing else.
"""
