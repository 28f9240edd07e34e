"""Features of videos: frames and sound of files, given to networks that somebody else brings."""
