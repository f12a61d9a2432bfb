"""The child's side of inference: schedules requests, feeds the engine and writes the journal.

Runs under the interpreter that has vLLM, so it imports only the standard library, pydantic and what
vLLM installs.
"""
