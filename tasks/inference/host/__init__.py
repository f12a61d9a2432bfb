"""The parent's side of inference: starts the guarded child, hands it runs, and hears its events."""
