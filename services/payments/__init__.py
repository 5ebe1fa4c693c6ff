"""Money: charges and refunds through a payment gateway. Holds tokens, never card data."""
