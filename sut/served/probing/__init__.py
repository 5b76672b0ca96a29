"""What can be found out of a server by asking it a few small things?"""
