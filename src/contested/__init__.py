"""contested."""
