"""Faults at random moments of whole commands, and what they cost: `make chaos`.

Bounded, seeded, repeatable; not part of CI. Every round starts `pixtrack eval` on a data home,
injects one fault at a random moment, waits for the end, and looks at what is left: answers lost or
doubled, processes left over, commands that hang. Between the rounds the same command goes on where
the fault left it; the last one has to finish.
"""
