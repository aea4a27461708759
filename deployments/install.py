"""Installs requirements into a virtual environment, on behalf of make, and shows how far it is.

Runs before anything is installed, so it uses the standard library alone. An interrupted or failed
installation goes on at the next call.
"""

import sys

try:  # Ctrl-C also reaches these
    import re
    import shutil
    import subprocess
    import time
    from collections import deque
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from queue import Empty, Queue
    from threading import Thread
except KeyboardInterrupt:
    print("\nInterrupted. The same command goes on with the installation.")  # noqa: T201
    sys.exit(130)

ON_TERMINAL = 0.2
"""Seconds between two states of the line that shows progress on a terminal."""

WITHOUT_TERMINAL = 5.0
"""Seconds between two such lines in a file or a pipe."""

KEPT_LINES = 12
"""Last lines of a failed program's output that are shown."""

INTERRUPTED = 130
"""Exit code by convention of a program interrupted by Ctrl-C."""

EXIT_TIMEOUT = 5.0
"""Seconds in which an interrupted program may end by itself."""


def say(text: str, end: str = "\n") -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


class Failed(Exception):
    """A program failed; its last lines, or what to do instead."""


class Line:
    """The line that shows progress: rewritten on a terminal, repeated elsewhere."""

    def __init__(self, title: str) -> None:
        self.title, self.began, self.shown = title, time.monotonic(), float("-inf")
        self.terminal = sys.stdout.isatty()

    def show(self, state: str, *, last: bool = False) -> None:
        """Show the state and the time so far, unless it was shown a moment ago."""
        now = time.monotonic()
        if not last and now - self.shown < (ON_TERMINAL if self.terminal else WITHOUT_TERMINAL):
            return
        self.shown = now
        minutes, seconds = divmod(int(now - self.began), 60)
        text = f"{self.title}: {state} ({minutes}:{seconds:02} min)"
        if self.terminal:
            text = "\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1]
        say(text, end="" if self.terminal and not last else "\n")


def run(command: Sequence[str], title: str, state: Callable[[str], str]) -> None:
    """Run a program; `state` maps its newest line ("" where there is none) to what is shown.

    Raises Failed with its last lines, and KeyboardInterrupt once it has ended.
    """
    line, lines, kept = Line(title), Queue[str](), deque[str](maxlen=KEPT_LINES)
    line.show(state(""))
    with subprocess.Popen(  # noqa: S603 - no shell, programs of this module
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        reader = Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        try:
            while reader.is_alive() or not lines.empty():
                try:
                    newest = lines.get(timeout=ON_TERMINAL)
                    kept.append(newest)
                except Empty:
                    newest = ""
                line.show(state(newest))
        except KeyboardInterrupt:
            _end(process)
            raise
        reader.join()
    if process.returncode:
        say("")
        raise Failed("\n".join(kept))
    line.show("done", last=True)


def _read(process: "subprocess.Popen[str]", lines: "Queue[str]") -> None:
    assert process.stdout is not None
    for text in process.stdout:
        lines.put(text.rstrip())


def _end(process: "subprocess.Popen[str]") -> None:
    """Ctrl-C reaches the program too; kill it if it does not end by that."""
    try:
        process.wait(EXIT_TIMEOUT)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def environment(venv: Path) -> Path:
    """The environment's Python; created where it is missing or was not finished."""
    python = venv / "bin" / "python"
    # Ctrl-C may leave a part of pip; its INSTALLER is written last.
    if not python.exists() or not list(venv.glob("lib/python*/site-packages/pip-*/INSTALLER")):
        again = ["--clear"] if (venv / "pyvenv.cfg").exists() else []
        command = [sys.executable, "-m", "venv", *again, str(venv)]
        run(command, f"Creating {venv}", lambda _: "an environment with pip")
    return python


class Packages:
    """How far `pip install` is, from its output and the folder that it installs into."""

    def __init__(self, site: Path, pinned: int) -> None:
        self.site, self.pinned, self.found, self.newest = site, pinned, 0, "starting pip"
        self.chosen, self.before = 0, self._there()

    def _there(self) -> int:
        return len(list(self.site.glob("*.dist-info")))

    def state(self, line: str) -> str:
        """What to show after pip has printed `line`."""
        match line.split():
            case ["Collecting" | "Processing", name, *_] | ["Requirement", _, _, name, *_]:
                self.found, self.newest = self.found + 1, name.rpartition("/")[2]
            case ["Installing", "collected", "packages:", *names]:
                self.chosen = len(names)
            case ["WARNING:", "Retrying", *_]:
                self.newest = "the package index does not answer, trying again"
        if self.chosen:
            done = min(self._there() - self.before, self.chosen)
            return f"{done} of {self.chosen} packages unpacked"
        return f"{self.found} of {self.pinned}, {self.newest}" if self.pinned else self.newest


def install(python: Path, arguments: Sequence[str]) -> None:
    """`pip install` with these arguments."""
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    for folder in site.glob("*.dist-info"):
        if not (folder / "INSTALLER").exists():  # interrupted: pip would believe it is installed
            shutil.rmtree(folder)
    locks = [name for name in arguments if name.endswith(".txt")]
    pins = "\n".join(Path(name).read_text() for name in locks)
    packages = Packages(site, len(re.findall(r"^[\w.-]+==", pins, re.MULTILINE)))
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    quiet = ["--no-color", "--progress-bar", "off"]
    title = f"Installing {', '.join(locks) or 'the project'}"
    run([*pip, *quiet, *arguments], title, packages.state)


def main(venv: str, *arguments: str) -> int:
    """Install with the arguments of `pip install`; an exit code."""
    try:
        install(environment(Path(venv)), arguments)
    except KeyboardInterrupt:
        say("\nInterrupted. The same command goes on with the installation.")
        return INTERRUPTED
    except Failed as failed:
        say(f"{failed}\nThe installation failed; README.md lists what it needs. ", end="")
        say("The same command goes on with it.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
