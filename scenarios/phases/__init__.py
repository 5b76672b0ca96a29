"""What do the parts of a run's time differ by?"""
