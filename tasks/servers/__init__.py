"""The servers that pixtrack starts and talks to: how they are launched, guarded and reached.

`launcher` starts one as a child and says why it did not start; `guard` stands before its pages;
`login` keeps the password of our Prefect servers; `prefect_server` and `prefect_app` are Prefect's
side; `proxies` keeps this machine's own addresses out of every proxy.
"""
