"""Durable orchestrators, one saga a file. Deterministic: I/O, time and chance only through the context."""
