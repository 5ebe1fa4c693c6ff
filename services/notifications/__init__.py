"""What customers and operators are told. It is recorded, with what would be sent; nothing is sent yet."""
