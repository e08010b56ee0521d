"""The web server's command, and the limits on requests before Django sees them."""
