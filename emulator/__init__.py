"""The embedded emulator: hosts a Python function app on one machine, without Docker, Core Tools or Azure.

A development tool, never a production host.
"""
