"""Speed against a named baseline of the same run: each script prints ratios. Nothing else imports this room."""
