"""The YAML document: its places, its shape against the JSON Schema, and the problems found in it."""
