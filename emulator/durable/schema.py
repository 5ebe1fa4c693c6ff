"""The tables, modelled on those of the MSSQL provider for Durable Functions."""

SCHEMA = (
    # `episode` counts an instance's committed episodes: an episode that was computed from another number than
    # it finds is thrown away, so two processes can never both extend one history.
    "CREATE TABLE durable_instances (instance_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, "
    "name TEXT NOT NULL, version TEXT, status TEXT NOT NULL, episode INTEGER NOT NULL, input TEXT, "
    "output TEXT, custom_status TEXT, created REAL NOT NULL, updated REAL NOT NULL, parent_id TEXT, "
    "parent_execution TEXT, parent_task INTEGER, traceparent TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX durable_instances_created ON durable_instances (created, instance_id)",
    # One row an episode: its events as JSON texts joined by commas, because they are only ever read together.
    "CREATE TABLE durable_history (instance_id TEXT, episode INTEGER, events TEXT NOT NULL, "
    "PRIMARY KEY (instance_id, episode)) WITHOUT ROWID",
    # Events that wait for their instance. One without an execution is for whichever runs.
    "CREATE TABLE durable_messages (sequence INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, "
    "execution_id TEXT, event TEXT NOT NULL)",
    "CREATE INDEX durable_messages_instance ON durable_messages (instance_id)",
    # Activities that were scheduled and have not ended. A task is leased as long as its owner lives
    # (durable_owners).
    "CREATE TABLE durable_tasks (sequence INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, "
    "execution_id TEXT NOT NULL, task_id INTEGER NOT NULL, name TEXT NOT NULL, input TEXT NOT NULL, "
    "traceparent TEXT NOT NULL, owner TEXT)",
    "CREATE TABLE durable_timers (instance_id TEXT, task_id INTEGER, execution_id TEXT NOT NULL, "
    "due REAL NOT NULL, fire_at TEXT NOT NULL, PRIMARY KEY (instance_id, task_id)) WITHOUT ROWID",
    "CREATE INDEX durable_timers_due ON durable_timers (due)",
    "CREATE TABLE durable_owners (owner TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID",
)
