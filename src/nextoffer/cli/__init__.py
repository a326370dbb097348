"""The command line: one file a command. It parses, calls and shows; it holds no rule and no formula."""
