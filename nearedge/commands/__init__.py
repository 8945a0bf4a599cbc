"""The subcommands, a module each. Each imports the package that it needs inside the command itself."""
