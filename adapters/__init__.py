"""The ports of `core` made real."""
