"""Whether an address answers: `python -m deployments.probe URL`, the containers' health check."""

import sys
import urllib.error
import urllib.request

SECONDS = 5.0


def main() -> None:
    """Exit with 0 where the address answers with a success, with 1 otherwise."""
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=SECONDS):  # noqa: S310 - ours, on loopback
            pass
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"{sys.argv[1]} does not answer: {error}")


if __name__ == "__main__":
    main()
