"""The command line: for people, and as the kubectl plug-in `kubectl leadsman`."""
