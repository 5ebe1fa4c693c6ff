"""Tables of the Service Bus engine. Times are epoch milliseconds, as in AMQP.

A message is one row from its acceptance to its end. `due_at` is the moment at which something must happen
to it without anybody asking: the end of its lock when locked, its enqueue time when scheduled, else its
expiry. One index finds the next moment for all three; NEVER stands for none. A deferred message has none:
that it expired is found when it is asked for. `lock` is NULL unless the message is locked.
"""

READY, LOCKED, SCHEDULED, DEFERRED, DEFERRED_LOCKED = range(5)
"""`state` of a message. Whoever gives a deferred message back gives it back deferred."""

NEVER = 2**62

SCHEMA: tuple[str, ...] = (
    "CREATE TABLE bus_entities (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE)",
    # AUTOINCREMENT: no sequence number is used again, not even that of the newest message once it is deleted.
    """CREATE TABLE bus_messages (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        entity INTEGER NOT NULL,
        state INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        enqueued_at INTEGER NOT NULL,
        enqueue_sequence INTEGER,
        delivery_count INTEGER NOT NULL DEFAULT 0,
        lock INTEGER,
        owner TEXT,
        reason TEXT,
        description TEXT,
        message_id TEXT NOT NULL,
        subject TEXT,
        correlation_id TEXT,
        content_type TEXT,
        headers TEXT,
        properties TEXT,
        body BLOB NOT NULL
    )""",
    f"CREATE INDEX bus_ready ON bus_messages (entity, sequence) WHERE state = {READY}",
    "CREATE INDEX bus_due ON bus_messages (due_at)",
    # Duplicate detection: message ids seen, and until when they are remembered.
    """CREATE TABLE bus_seen (
        entity INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (entity, message_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX bus_seen_until ON bus_seen (until)",
)
