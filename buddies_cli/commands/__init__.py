"""The commands of `buddies-cli`, one module per feature.

Not here: tables, exit codes and the connection to the daemon, which `app`, `tables` and
`machine` give to every command.
"""
