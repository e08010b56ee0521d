"""What providers tell after the fact: `meaning` decides what it means, `settling` acts on it, `pending` looks up."""
