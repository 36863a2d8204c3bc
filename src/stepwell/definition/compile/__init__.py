"""From a class to one frozen `Definition`, and from there to JSON and diagrams; all faults of a class are reported at once."""
