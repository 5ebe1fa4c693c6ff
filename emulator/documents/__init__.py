"""The documents engine: items, batches, queries, expiry and the change feed, as Cosmos DB has them."""
