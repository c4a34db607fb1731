"""`python -m eyebright` is the command `eyebright`."""

from eyebright.cli import main

if __name__ == "__main__":
    main()
