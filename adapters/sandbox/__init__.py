"""The outside world for demonstrations and tests: an order chooses how it behaves.

What these "know" is kept in the container `sandbox`: it survives a crash of the app, as theirs would.
"""
