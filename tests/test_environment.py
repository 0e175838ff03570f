"""Four files describe one environment: pyproject.toml, its two locks and environment.yml."""

import re
import tomllib
from functools import cache

import pytest
import yaml
from packaging.requirements import Requirement

from workshop_lib.paths import ROOT

LOCKS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements-dev.lock")}
LEARNERS = ("labs", "service", "parquet", "build")
ENTRY = re.compile(r"^(?P<pin>[A-Za-z0-9._-]+==[^\s;\\]+(?: ; [^\\\n]+?)?) \\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def locked(lock: str) -> tuple[Requirement, ...]:
    """Return a lock's pins."""
    return tuple(Requirement(found["pin"]) for found in ENTRY.finditer(LOCKS[lock]))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes(lock: str) -> None:
    """Without it a lock with an index address, a range or a missing hash would install something else on another machine."""
    left = ENTRY.sub("", LOCKS[lock])
    assert [line for line in left.splitlines() if line.strip() and not line.startswith("#")] == []
    assert len(locked(lock)) > 100
    assert "://" not in LOCKS[lock]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_an_exact_version(lock: str) -> None:
    """Without it `==1.*` would pass for a pin."""
    assert [str(pin) for pin in locked(lock) if "*" in str(pin.specifier)] == []


def test_learners_run_what_is_tested() -> None:
    """Without it the labs could be tested with other versions than a learner installs."""
    pins = {lock: {f"{pin.name}{pin.specifier}" for pin in locked(lock)} for lock in LOCKS}
    assert pins["requirements.lock"] <= pins["requirements-dev.lock"]


def direct() -> list[tuple[str, Requirement]]:
    """Return the lock and the name of each dependency of pyproject.toml, extras included."""
    project = PYPROJECT["project"]
    learners = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in LEARNERS)]
    everything = [project["dependencies"], *project["optional-dependencies"].values()]
    groups = {"requirements.lock": learners, "requirements-dev.lock": everything}
    return [(lock, Requirement(text)) for lock, lists in groups.items() for group in lists for text in group]


@pytest.mark.parametrize(("lock", "wanted"), direct(), ids=lambda part: part if isinstance(part, str) else part.name)
def test_every_direct_dependency_is_locked(lock: str, wanted: Requirement) -> None:
    """Without it a dependency could be added to pyproject.toml and be missing after `make run`."""
    pins = [pin for pin in locked(lock) if canonical(pin.name) == canonical(wanted.name)]
    assert pins, f"{wanted.name} is not in {lock}"
    for pin in pins:
        version = str(pin.specifier).removeprefix("==")
        assert wanted.specifier.contains(version, prereleases=True), f"{pin} is outside {wanted}"


def test_conda_gets_python_and_pip_from_conda_forge_only() -> None:
    """Without it conda would bring packages of its own beside the pins."""
    assert CONDA["channels"] == ["conda-forge"]
    python, pip, section = CONDA["dependencies"]
    assert python in {"python=3.11", "python=3.12", "python=3.13"}
    assert pip == "pip"
    assert list(section) == ["pip"]
    supported = Requirement(f"python{PYPROJECT['project']['requires-python']}").specifier
    assert supported.contains(python.removeprefix("python=") + ".0")


def test_conda_installs_the_same_pins() -> None:
    """Without it conda, Studio Lab and Binder would run other versions than the tests did."""
    assert CONDA["dependencies"][2]["pip"] == ["-r requirements.lock"]


def test_conda_pip_lines_are_lines_pip_reads() -> None:
    """Without it `--no-deps` or an editable install beside hashes, which pip refuses in a requirements file, would break every conda install."""
    lines = CONDA["dependencies"][2]["pip"]
    assert [line for line in lines if line.startswith(("--", "-e"))] == []


def test_binder_installs_the_package_itself() -> None:
    """Without it `import workshop_lib` would fail in a notebook on Binder, as the hashed pins cannot hold an editable install."""
    script = ROOT / "postBuild"
    assert "pip install --no-deps --no-build-isolation -e ." in " ".join(script.read_text(encoding="utf-8").split())
    assert script.stat().st_mode & 0o100, "repo2docker runs postBuild only if it is executable"
