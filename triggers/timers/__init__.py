"""Timer triggers, one file a service."""
