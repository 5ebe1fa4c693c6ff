"""What the services share. Imports neither `services` nor any Azure package."""
