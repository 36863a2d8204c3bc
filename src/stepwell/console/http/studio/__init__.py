"""Studio under `/studio`: the built files, and the security headers of its pages."""
