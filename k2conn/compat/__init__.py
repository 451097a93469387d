"""What k2conn uses of other libraries although they do not promise it: one file a library.

Each file says why it is needed and with which versions it was tried (``VERSIONS``, the same as in pyproject.toml);
tests/test_compat.py fails, naming what is gone, where a new version has it no more. Nobody else touches a library's
private names, and no default of a library is changed for anybody else in the process.
"""
