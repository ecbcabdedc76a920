"""What a user can do and override: the recipes, the chain, the App."""
