"""AMQP 1.0 as Service Bus speaks it, on the Service Bus engine."""
