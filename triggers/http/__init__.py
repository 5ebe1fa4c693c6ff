"""HTTP triggers, one file a resource."""
