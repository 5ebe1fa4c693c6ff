"""Hosts one Azure Functions app for Python: indexes it, watches what triggers its functions, and invokes
them."""
