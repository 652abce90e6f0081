"""The daemon as a service of this user's session: started at login, and again after a crash."""
