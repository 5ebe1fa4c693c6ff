"""The table of all items.

A write replaces the row, so `sequence` is new each time: it is the order of the change feed and the ETag.
AUTOINCREMENT, because the number of a deleted item must not come back: a reader's position would skip it.
"""

SCHEMA = (
    """
    CREATE TABLE documents (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        container TEXT NOT NULL,
        partition TEXT NOT NULL,
        id TEXT NOT NULL,
        feed_range INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        expires INTEGER,
        body TEXT NOT NULL,
        UNIQUE (container, partition, id)
    )
    """,
    # The range last: each index that grows at its own end is one page more to write in every commit.
    "CREATE INDEX documents_feed ON documents (container, sequence, feed_range)",
    "CREATE INDEX documents_expiry ON documents (expires) WHERE expires IS NOT NULL",
)
