"""The override chain; it knows no recipe and no App."""
