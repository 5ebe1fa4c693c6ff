"""Request units, roughly: enough to compare operations with one another, not to predict a bill.

Of the published figures: reading 1 KB by id costs 1, also when it is not there, writing 1 KB with few indexed
properties 5 to 10, and a query some 2.5 and a little for each item. Real charges depend on indexing,
consistency and size.
https://learn.microsoft.com/azure/cosmos-db/request-units
"""

REFUSED = 1.0
"""What an item, or its absence, refused: it was looked for."""


def read(size: int) -> float:
    return float(max(1, -(-size // 1024)))


def write(size: int) -> float:
    return 6.0 + 4.0 * (size // 1024)


def query(items: int, size: int) -> float:
    return 2.5 + 0.05 * items + 0.25 * (size // 1024)
