"""Stock: what is there, what is held for an order, what has left."""
