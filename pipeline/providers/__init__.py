"""The kit for vendors' modules: how long a call may take, and the clients that keep to it."""
