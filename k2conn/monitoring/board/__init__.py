"""The board: what an operator looks at while a process runs, as one bounded document.

`query` says which part of it is wanted, `looks` takes two looks at what is counted anyway and knows the rates between
them, `figures` is what one process (or several, as one) adds to its status, `document` puts both together.
"""
