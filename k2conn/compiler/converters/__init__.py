"""From a value of a message to the value of a record field: decimals, times, sides, texts. A new converter is a file
here.
"""
