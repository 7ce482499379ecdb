"""The app on one machine with Azurite and fake Microsoft services."""
