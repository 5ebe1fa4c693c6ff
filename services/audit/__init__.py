"""What was asked of the services, by whom, and what came of it; and whether somebody tampered with that."""
