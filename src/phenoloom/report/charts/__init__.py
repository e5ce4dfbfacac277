"""Charts and pictures of the report."""
