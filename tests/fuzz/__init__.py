"""Tens of thousands of bad inputs of every kind: does each end in a sentence?

    make fuzz                                    200,000 inputs and a table of what became of them
    python -m tests.fuzz --kind conf --count 500 --seed 3
    python -m tests.fuzz --kind conf --seed 3 --only 17    one of them again, with its traceback

An input is drawn from its seed, its kind and its number alone, so it is the same on every machine
and in every order. `inputs` bends values, texts and bytes; the other files make whole inputs and
send each through the door that reads it; `lane` runs them and says what came out.
"""
