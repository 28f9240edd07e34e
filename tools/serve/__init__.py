"""A server that names the classes of videos which are sent to it."""
