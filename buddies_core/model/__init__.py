"""What users see, as frozen values. No I/O, no clock, no bytes on the wire."""
