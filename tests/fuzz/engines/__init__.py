"""What runs a target: libFuzzer for C, atheris for Python, hypothesis where these two are missing."""
