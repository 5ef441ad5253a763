"""Check the machine, the project and its records (`finetrack doctor`), and mend what is safe to mend."""
