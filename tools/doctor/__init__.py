"""What this machine can run, and what to do about the rest: `make doctor`.

Every check is a function of what it looks at (a command, a port, a file) and returns findings. Only the
standard library is imported until an SDK is needed, so that a half set-up machine gets an answer too.
"""
