"""The channels of notifications: what really sends, and the outbox that only keeps."""
