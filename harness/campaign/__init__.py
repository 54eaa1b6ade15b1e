"""Many cuts into one operation."""
