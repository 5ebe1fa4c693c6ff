"""The id of a mail, made of its message's key: a repeat has it too, and a report of the mail repeats it."""

import hashlib

MAIL_ID = "[0-9a-f]{32}"
"""As a regular expression."""


def mail_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]
