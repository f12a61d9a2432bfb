"""A run on disk: its directory and record, its requests, its journal, and who may work on it.

No module here starts or imports an engine. Import what you need from the module that defines it:
the inference child uses some of them and must stay light.
"""
