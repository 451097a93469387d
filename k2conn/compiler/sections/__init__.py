"""One module for each section of a connector file; each compiles its section into its part of the plan."""
