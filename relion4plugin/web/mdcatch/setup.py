"""What the command gives to the pages: folders, presets, where projects go."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from relion4plugin.acquisition.preset import NO_PRESET, Preset, find_preset, shipped_presets
from relion4plugin.errors import UserError
from relion4plugin.web.mdcatch.places import Places

BY_ITSELF, NONE = "", "none"
_SHIPPED = "shipped: "
_FOLDERS = ("metadata_root", "gains", "mtf", "movies")


@dataclass(frozen=True)
class Setup:
    """One server.

    Attributes
    ----------
    roots : tuple of Path
        Folders in which sessions are looked for.
    places : Places
        Where a person may point to: roots, folders of the presets, and more that were allowed.
    presets : tuple of Preset
        Presets of the command.
    projects : Path or None
        Folder of projects; that of the preset, or the working directory, if None.
    accepted : tuple of str
        Rules whose errors do not forbid a launch.
    host : str
        Address of this server, at which monitors are served too.
    """

    roots: tuple[Path, ...]
    places: Places
    presets: tuple[Preset, ...] = ()
    projects: Path | None = None
    accepted: tuple[str, ...] = ()
    host: str = field(default="127.0.0.1")

    @cached_property
    def offers(self) -> Mapping[str, str]:
        """Presets to choose from: key and text for people, the usual one first."""
        found = {BY_ITSELF: "the first that fits"} if self.presets else {NONE: "none"}
        found |= {preset.name: preset.name for preset in self.presets}
        found |= {NONE: "none"} | {f"{_SHIPPED}{path.stem}": f"{path.stem} (shipped)" for path in shipped_presets()}
        return found

    def chosen(self, key: str) -> tuple[Preset, ...]:
        """Return the presets of which the first that fits is used; one that a person chose fits always.

        Raises
        ------
        UserError
            If it is not offered.
        """
        if key not in self.offers:
            raise UserError(f"there is no preset {key!r} here; there are {', '.join(filter(None, self.offers))}")
        if key == BY_ITSELF:
            return self.presets
        if key == NONE:
            return ()
        shipped = key.startswith(_SHIPPED)
        preset = find_preset(key.removeprefix(_SHIPPED)) if shipped else next(one for one in self.presets if one.name == key)
        return (without_match(preset),)

    def usual(self, key: str) -> Preset:
        """Return the preset that a choice stands for before any session is read."""
        presets = self.chosen(key)
        return presets[0] if len(presets) == 1 else NO_PRESET

    def root_of_projects(self, preset: Preset) -> Path:
        """Return the folder in which the project of a session is made."""
        return Path(self.projects or preset.get("paths.projects") or ".").resolve()


def without_match(preset: Preset) -> Preset:
    """Return a preset that fits every session."""
    return replace(preset, given={name: value for name, value in preset.given.items() if not name.startswith("match.")})


def make_setup(
    roots: Sequence[Path], presets: Iterable[str] = (), projects: Path | None = None, allowed: Iterable[Path] = (),
    accepted: Iterable[str] = (), host: str = "127.0.0.1",
) -> Setup:  # fmt: skip
    """Read presets and collect the folders.

    Parameters
    ----------
    roots : sequence of Path
        Folders with sessions; those of the presets if there are none.
    presets : iterable of str
        Files, or names of shipped presets.
    projects : Path
        Folder of projects.
    allowed : iterable of Path
        More folders in which gain references, networks and movies may lie.
    accepted, host
        See `Setup`.

    Raises
    ------
    UserError
        If a preset is wrong, there is no folder to look in, or one is missing.
    """
    read = tuple(find_preset(word) for word in presets)
    named = [preset.name for preset in read]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two presets are called {twice}; give each a name of its own")
    looked_in = list(roots) or [Path(root) for preset in read if (root := preset.get("paths.metadata_root"))]
    if not looked_in:
        raise UserError("there is no folder to look for sessions; give one, or a preset with paths.metadata_root")
    missing = next((folder for folder in (*looked_in, *allowed) if not folder.is_dir()), None)
    if missing is not None:
        raise UserError(f"there is no folder {missing}; check the path")
    places = Places.of([*looked_in, *allowed, *(folder for preset in read for folder in _folders_of(preset))])
    return Setup(tuple(root.resolve() for root in looked_in), places, read, projects, tuple(accepted), host)


def _folders_of(preset: Preset) -> list[Path]:
    """Return the folders that a preset trusts, as far as they are there."""
    texts = [str(preset.get(f"paths.{name}")).partition("{")[0] for name in _FOLDERS]
    texts += [str(Path(preset.get(full)).parent) for full in ("gain.file", "gain.defects") if preset.get(full)]
    return [Path(text) for text in texts if text and Path(text).is_dir()]
