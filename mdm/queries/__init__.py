"""Questions about people and households: who they are, what happened to them, where it comes from, as the asker may know it."""
