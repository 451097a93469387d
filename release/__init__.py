"""What makes a release repeatable: locked packages, images by digest, a bill of materials. See docs/operations.md."""
