"""What does a client get? From ids and log-probabilities to text and the shapes of the API."""
