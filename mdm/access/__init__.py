"""Who may ask what: people and machines, their roles and purposes, and the log of who read whom."""
