"""The bounded contexts. They meet in messages only: no service imports another, and none imports Azure."""
