"""The servers that pixtrack starts and talks to: how they are launched, guarded and reached.

`launcher` starts one as a child and reports why it did not start; `origin_guard` refuses requests
from other sites; `login` keeps the password of pixtrack's Prefect servers; `prefect_server` and
`prefect_app` are Prefect's part; `proxies` makes requests to this machine bypass every proxy.
"""
