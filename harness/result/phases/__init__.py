"""What do the parts of a run's time look like by themselves?"""
