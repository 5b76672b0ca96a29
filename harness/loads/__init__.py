"""What stands in the file of a load, and which samples does a run get from it?"""
