"""What customers and operators are told, by e-mail, SMS and push."""
