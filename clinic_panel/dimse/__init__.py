"""Our side of associations we ask for: values, files and sockets; no database and no screen."""
