"""The parent's side of inference: starts the guarded child, sends it jobs and reads its events."""
