"""What an orchestrator may ask for. Thin: parse the input, call a service."""
