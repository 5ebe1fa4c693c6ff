"""Endpoints on which the unmodified Azure SDKs reach the engines."""
