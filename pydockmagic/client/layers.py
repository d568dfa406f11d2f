"""Layers and their files, whichever daemon it is: our engine has them at hand, others are asked the long way round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .containers import ContainerCalls
from .extensions import ExtensionCalls
from .images import ImageCalls

if TYPE_CHECKING:
    from .plain_layers import PlainLayers

__all__ = ["LayerCalls"]

Json = dict[str, Any]


class LayerCalls(ContainerCalls, ImageCalls, ExtensionCalls):
    """``layers`` and ``files``, in the form of the ``/pydock`` routes (ARCHITECTURE.md, "Extensions of the API")."""

    _plain_layers: PlainLayers | None = None

    def layers(self, name: str, *, container: bool = False, read: bool = False) -> Json:
        """Return the layers of an image, or of a container where ``container`` is set, bottom first.

        A daemon without our extensions tells the files of an image through ``docker save``: of large images only with
        ``read``; ``FilesRead`` says whether they are known.
        """
        if "image-layers" not in self.features():
            return self._plain().layers(name, container=container, read=read)
        return self.container_layers(name) if container else self.image_layers(name)

    def files(
        self,
        name: str,
        *,
        container: bool = False,
        offset: int | None = None,
        limit: int | None = None,
        sort: Literal["size", "path"] | None = None,
    ) -> Json:
        """Return a page of the files of a layer (by chain id), or of a container's writable layer.

        A daemon without our extensions gives the largest ones only, whatever ``offset`` and ``sort`` say.
        """
        if "layer-files" not in self.features():
            return self._plain().container_files(name, limit) if container else self._plain().files(name, limit)
        call = self.container_files if container else self.layer_files
        return call(name, offset=offset, limit=limit, sort=sort)

    def _plain(self) -> PlainLayers:
        from .plain_layers import PlainLayers  # noqa: PLC0415 - reads archives, which most clients never do

        if self._plain_layers is None:
            self._plain_layers = PlainLayers(self)
        return self._plain_layers
