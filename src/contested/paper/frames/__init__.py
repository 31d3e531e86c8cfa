"""The numbers behind the paper's tables and figures, as frames."""
