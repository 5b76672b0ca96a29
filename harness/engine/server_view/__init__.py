"""What does the server say and use meanwhile? Read once a second, beside the run, never by the
client.
"""
