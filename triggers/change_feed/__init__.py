"""What follows from a change of a document.

The feed gives a batch again until the function returns, and gives nothing after it meanwhile. So an
infrastructure fault is raised and holds the feed; a document that can never be handled is parked and lets
the others pass.
"""
