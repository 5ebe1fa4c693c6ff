"""A Service Bus namespace on the shared store: queues, topics with subscriptions, dead-letter queues."""
