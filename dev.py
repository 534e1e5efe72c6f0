"""The two commands of the README: `python dev.py serve` and `python dev.py test`. Standard library only.

Owns nothing but the check of the interpreter; the work is in devtools/. Written so that a Python as old as 3.6 can read
it and say what is missing instead of showing a syntax error.
"""

import sys

OLDEST = (3, 10)


def main() -> int:
    """Exit status of the command given on the command line."""
    if sys.version_info < OLDEST:
        text = "Expeditor needs Python {}.{} or newer; this is Python {} ({}).\n"
        sys.stderr.write(text.format(OLDEST[0], OLDEST[1], sys.version.split()[0], sys.executable))
        return 2
    from devtools.commands import run  # noqa: PLC0415 - an older Python could not even parse it

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
