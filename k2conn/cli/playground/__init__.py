"""`k2conn playground`: a page in a browser with a connector file on the left, frames on the right, and what becomes of
them below. No venue is talked to.

``sheet`` plays a file on frames and knows no process, ``child`` is the process in which that is done, with bounds and
without an environment, ``workshop`` starts one for each question, ``server`` is the page's port.
"""
