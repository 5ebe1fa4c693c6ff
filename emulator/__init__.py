"""The embedded emulator: hosts an Azure Functions app for Python on one machine, without Docker, Core Tools or Azure.

A development tool, never a production host.
"""
