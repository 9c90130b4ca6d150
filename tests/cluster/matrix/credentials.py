"""An exec credential plugin whose first client certificate ends soon, and whose next one lasts."""
import datetime
import json
import subprocess
import time
from pathlib import Path

CONFIG = """[ca]
default_ca = test
[test]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
policy = any
default_md = sha256
unique_subject = no
x509_extensions = client
[any]
commonName = supplied
organizationName = optional
[client]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
"""


def stamp(time_):
    return datetime.datetime.fromtimestamp(time_, datetime.timezone.utc).strftime("%y%m%d%H%M%SZ")


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def mint(pki, folder, name, end):
    """A certificate of the cluster's administrator that ends at `end` (whole seconds)."""
    key, request, certificate = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.crt"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=system:masters/CN=admin",
            "-keyout", key, "-out", request)
    openssl("ca", "-batch", "-notext", "-config", folder / "config", "-in", request, "-out", certificate, "-cert", pki / "ca.crt",
            "-keyfile", pki / "ca.key", "-startdate", stamp(end - 86400), "-enddate", stamp(end))
    return {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}


def plugin(pki, folder: Path, lasts):
    """Makes the plugin in `folder`. Returns (user of a kubeconfig, the time from which the first certificate has ended)."""
    folder.mkdir()
    (folder / "config").write_text(CONFIG.format(folder=folder))
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    second = mint(pki, folder, "second", int(time.time()) + 3600)
    end = int(time.time() + lasts) + 1
    first = mint(pki, folder, "first", end)
    for name, status in (("first", first), ("second", second)):
        (folder / f"{name}.json").write_text(json.dumps(
            {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
    script = folder / "plugin"
    script.write_text(f'#!/bin/sh\ncd "{folder}" || exit 1\nif [ -e used ]; then echo again >used; exec cat second.json; fi\n'
                      ': >used\nexec cat first.json\n')
    script.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "interactiveMode": "Never"}}
    return user, end + 0.1


def was_renewed(folder):
    used = folder / "used"
    return used.exists() and used.stat().st_size > 0
