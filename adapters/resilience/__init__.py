"""The ports to the outside, each call under its provider's policy (core/outside_policy.py)."""
