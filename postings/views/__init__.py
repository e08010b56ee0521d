"""The pages for people: the board and its jobs, the form, the progress page."""
