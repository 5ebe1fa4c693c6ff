"""Service Bus triggers, one file a service."""
