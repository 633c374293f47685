"""The HTTP service for trained models, and its page."""
