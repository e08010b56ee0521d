"""What the peers' own interpreters run: apart, so that no module here hides their packages."""
