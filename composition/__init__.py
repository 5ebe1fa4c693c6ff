"""What stands around the app, put together as the settings say. function_app.py does the rest."""
