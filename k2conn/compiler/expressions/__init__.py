"""JMESPath and `$name` templates, compiled to closures. Nothing an author wrote is ever run as code."""
