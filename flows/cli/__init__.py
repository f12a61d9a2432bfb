"""The command line: one module for each area. Heavy imports happen inside the commands."""
