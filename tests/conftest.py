"""What every folder of tests shares."""

pytest_plugins = ["pipeline.testing.fixtures"]
