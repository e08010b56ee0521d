"""What the processes of a chaos run carry that production's do not."""
