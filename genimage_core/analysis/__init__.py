"""What data and matrices tell: spectra of reals and fakes, related generators; with figures and files."""
