"""What does a client ask for? From the bytes of a body to ids and settings of the engine."""
