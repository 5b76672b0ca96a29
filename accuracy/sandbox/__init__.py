"""Does a program that a model wrote pass its test? It runs in a process of its own, walled in."""
