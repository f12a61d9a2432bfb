"""Imports predictions that were made elsewhere, and exports runs as submission files."""
