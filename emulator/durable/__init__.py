"""The durable engine: runs orchestrations of `azure-functions-durable` 1.x as the real extension would."""
