"""Binary layouts: frames whose members are bytes at known places, read and written by a declaration of them.

`structures` reads and writes; `declared` makes structures of what a connector file says, `sbe_schema` of an SBE schema.
"""
