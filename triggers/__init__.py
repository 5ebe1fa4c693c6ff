"""Thin: parse, authorise, call a service, answer."""
