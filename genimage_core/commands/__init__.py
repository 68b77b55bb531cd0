"""The commands that need no Ray, one file each: their arguments, and what they do."""
