"""Components by name: those of a folder of k2conn, and those that other packages add through Python entry points.

A kind of component (sinks, transports, codecs) has one `Registry`. A built-in component is a file (or a folder with an
``__init__.py``) in the kind's folder that defines one constant, the component; another package names its constant in an
entry-point group::

    [project.entry-points."k2conn.sinks"]
    parquet = "their_package.sink:SINK"

Nothing is imported before it is asked for by name, and installed packages are only looked through for a name that no
built-in component has (that takes some 30 ms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Generic, TypeVar

from k2conn.errors import PluginError, SettingsError, known

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Component = TypeVar("Component")


class Registry(Generic[Component]):
    """All components of one kind, by name."""

    def __init__(
        self,
        what: str,
        package: str,
        constant: str,
        component: type[Component],
        names: Callable[[Component], Iterable[str]] | None = None,
        shared: tuple[str, ...] = (),
    ) -> None:
        """``what``: the kind's word for people ("sink"). ``package``: the dotted name of the folder, which is also the
        entry-point group. ``constant``: what a component is called in its file. ``component``: its class. ``names``: a
        component's names, where it has others than its file (a transport has its URL schemes); the built-in files are
        then imported to know them, so they must be light. ``shared``: files of the folder that are no components.
        """
        self.what = what
        self.group = package
        self._package = package
        self._constant = constant
        self._component = component
        self._names_of = names
        self._shared = shared
        self._loaded: dict[str, Component] = {}

    def names(self) -> tuple[str, ...]:
        """All names, sorted; imports no component of another package. PluginError for a package that names a component
        as another one is named.
        """
        return tuple(sorted({*self._built_in, *self._plugins}))

    def check(self) -> None:
        """Looks at the names of all installed packages' components. PluginError as `names`: nobody is to believe that a
        package is used which a built-in component hides.
        """
        self.names()

    def get(self, name: str) -> Component:
        """The component of that name. SettingsError, with the known names, where there is none; PluginError where
        another package's component cannot be used.
        """
        found = self._loaded.get(name)
        if found is None:
            module = self._built_in.get(name)
            found = self._loaded[name] = self._import(module) if module is not None else self._plugin(name)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._loaded or name in self._built_in or name in self._plugins

    @property
    def built_in(self) -> tuple[str, ...]:
        """The names of k2conn's own components, sorted."""
        return tuple(sorted(self._built_in))

    @cached_property
    def _built_in(self) -> dict[str, str]:
        """The module of each built-in name."""
        folder = import_module(self._package)
        files = [one.name for one in iter_modules(folder.__path__) if one.name not in self._shared]
        modules = {name: f"{self._package}.{name}" for name in files if not name.startswith("_")}
        if self._names_of is None:
            return modules
        return {name: module for module in modules.values() for name in self._names_of(self._import(module))}

    def _import(self, module: str) -> Component:
        found = getattr(import_module(module), self._constant, None)
        assert isinstance(found, self._component), f"{module} defines no {self._constant}"
        return found

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        """The entry points of other packages, by name."""
        from importlib.metadata import entry_points

        found: dict[str, EntryPoint] = {}
        for point in sorted(entry_points(group=self.group), key=lambda one: (one.name, _distribution(one))):
            if point.name in self._built_in:
                raise PluginError(f"the package {_distribution(point)} names a {self.what} '{point.name}', as one of "
                                  "k2conn's own is named: it must take another name, or be uninstalled")
            if point.name in found:
                raise PluginError(f"the packages {_distribution(found[point.name])} and {_distribution(point)} both "
                                  f"name a {self.what} '{point.name}': uninstall one of them")
            found[point.name] = point
        return found

    def _plugin(self, name: str) -> Component:
        point = self._plugins.get(name)
        if point is None:
            raise SettingsError(f"there is no {self.what} '{name}'{known(name, self.names())}")
        whose = f"the {self.what} '{name}' of the package {_distribution(point)}"
        try:
            found = point.load()
        except Exception as error:  # whatever a stranger's module does while it is imported
            raise PluginError(f"{whose} cannot be imported: {type(error).__name__}: {error}") from error
        if not isinstance(found, self._component):
            raise PluginError(f"{whose} is no {self._component.__name__} but a {type(found).__name__}: {point.value}")
        if self._names_of is not None and name not in (own := tuple(self._names_of(found))):
            raise PluginError(f"{whose} says that it is for {', '.join(own)} only")
        return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "(unknown)"
