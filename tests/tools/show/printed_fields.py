"""What the program prints, by name."""


def fields_of(text):
    """The first field of each name in what the program prints."""
    fields = {}
    for line in text.splitlines():
        if line.startswith("  "):
            name, _, value = line.strip().partition("  ")
            fields.setdefault(name, value.strip())
    return fields
