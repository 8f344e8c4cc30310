"""`python -m hospital`."""

from hospital.cli import main

if __name__ == "__main__":
    main()
