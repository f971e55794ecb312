"""All benches, one after the other: `python -m bench`."""

from bench import append

if __name__ == "__main__":
    append.main()
