"""A dataset's date windows: how they are planned, pulled, checked and joined."""
