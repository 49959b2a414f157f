"""Between which limits numbers lie that several commands are asked for, on the command line and in Python."""

SEE = 0.001, 1.0  # a difference in pooled Dice
POWER = 0.5, 0.99
HALF_WIDTH = 1e-6, 1.0  # of an interval of Dice
