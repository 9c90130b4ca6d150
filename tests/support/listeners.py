"""Loopback servers that write down who asked them for what: an API server with TLS, one without, and three kinds of proxies."""
import json
import select
import socket
import ssl
import subprocess
import threading


# What is asked for before pods, or snapshots.
DISCOVERY = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.2"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/apis/snapshot.kubevirt.io": {"kind": "APIGroup", "apiVersion": "v1", "name": "snapshot.kubevirt.io", "versions": [
        {"groupVersion": "snapshot.kubevirt.io/v1beta1", "version": "v1beta1"}]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1",
                "resources": [{"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}]},
}
NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not here"}


def make_certificates(folder):
    """Two authorities of one name, and what the first has signed: server.crt for some names, and the client certificates one and two."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test-ca",
                "-keyout", f"{name}.key", "-out", f"{name}.crt")
    # The first one in a folder of its own, under the name that OpenSSL looks for.
    (folder / "hashed").mkdir()
    found = subprocess.run(["openssl", "x509", "-subject_hash", "-noout", "-in", "ca.crt"], cwd=folder, check=True, capture_output=True, text=True)
    (folder / "hashed" / f"{found.stdout.strip()}.0").write_bytes((folder / "ca.crt").read_bytes())
    names = "subjectAltName=DNS:cluster.test,DNS:other.test,DNS:localhost,IP:127.0.0.1"
    for name, subject, extra in (("server", "server", names), ("one", "one", "extendedKeyUsage=clientAuth"), ("two", "two", "extendedKeyUsage=clientAuth")):
        (folder / "extensions").write_text(extra + "\n")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2", "-extfile", "extensions", "-out", f"{name}.crt")


class Listener:
    """Accepts on a port of the system's choice until close(); `serve` handles one connection on a thread of its own."""

    def __init__(self, record):
        self.record = record
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.settimeout(20)
            threading.Thread(target=self.guard, args=(connection,), daemon=True).start()

    def guard(self, connection):
        try:
            with connection:
                self.serve(connection)
        except (OSError, ValueError):
            pass  # the other side has gone or does not trust us; what counts has been recorded

    def close(self):
        self.socket.close()


def read_head(stream):
    """(request line, [(name, value)]) or None at the end."""
    line = stream.readline(65536).decode("latin-1").strip()
    if not line:
        return None
    headers = []
    while True:
        header = stream.readline(65536).decode("latin-1").strip()
        if not header:
            return line, headers
        name, _, value = header.partition(":")
        headers.append((name.strip().lower(), value.strip()))


class ApiServer(Listener):
    def __init__(self, record, folder=None):
        self.context = None
        if folder:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(folder / "server.crt", folder / "server.key")
            self.context.load_verify_locations(folder / "ca.crt")
            self.context.verify_mode = ssl.CERT_OPTIONAL
            self.context.sni_callback = lambda connection, name, _: setattr(connection, "asked_for", name)
        super().__init__(record)

    def serve(self, connection):
        about = {"server": "http", "sni": None, "certificate": None}
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
            subject = dict(pair for part in (connection.getpeercert() or {}).get("subject", ()) for pair in part)
            about = {"server": "https", "sni": getattr(connection, "asked_for", None), "certificate": subject.get("commonName")}
        with connection, connection.makefile("rb") as stream:
            while (head := read_head(stream)):
                line, headers = head
                self.record({"kind": "request", **about, "path": line.split()[1], "headers": headers})
                path = line.split()[1].split("?")[0]
                answers = [value for key, value in DISCOVERY.items() if path == key or path.endswith("/prefix" + key)]
                status, body = (200, answers[0]) if answers else (404, NOT_FOUND)
                text = json.dumps(body).encode()
                connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)


class Proxy(Listener):
    """Whatever it is asked for, it leads to `target`, a port on this machine; with no target it refuses."""

    def __init__(self, record, kind, target, folder=None):
        self.kind, self.target, self.context = kind, target, None
        if folder:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(folder / "server.crt", folder / "server.key")
        super().__init__(record)

    def serve(self, connection):
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        with connection:
            (self.serve_socks if self.kind == "socks5" else self.serve_connect)(connection)

    def serve_connect(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte:
                return
            head += byte
        lines = head.decode("latin-1").split("\r\n")
        credentials = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("proxy-authorization:")]
        self.record({"kind": "proxy", "proxy": self.kind, "asked": " ".join(lines[0].split()[:2]), "credentials": credentials})
        if not self.target:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        elif lines[0].startswith("CONNECT "):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            self.tunnel(connection)

    def serve_socks(self, connection):
        count = connection.recv(2)[1]
        methods = connection.recv(count)
        credentials = []
        if 2 in methods:
            connection.sendall(b"\x05\x02")
            name = connection.recv(connection.recv(2)[1])
            credentials = [f"{name.decode()}:{connection.recv(connection.recv(1)[0]).decode()}"]
            connection.sendall(b"\x01\x00")
        else:
            connection.sendall(b"\x05\x00")
        kind = connection.recv(4)[3]
        host = {1: lambda: socket.inet_ntoa(connection.recv(4)), 3: lambda: connection.recv(connection.recv(1)[0]).decode(),
                4: lambda: socket.inet_ntop(socket.AF_INET6, connection.recv(16))}[kind]()
        port = int.from_bytes(connection.recv(2), "big")
        self.record({"kind": "proxy", "proxy": self.kind, "asked": f"CONNECT {host}:{port}", "credentials": credentials})
        connection.sendall(b"\x05" + (b"\x00" if self.target else b"\x02") + b"\x00\x01\x00\x00\x00\x00\x00\x00")
        if self.target:
            self.tunnel(connection)

    def tunnel(self, connection):
        with socket.create_connection(("127.0.0.1", self.target)) as other:
            while True:
                ready = [connection] if self.context and connection.pending() else select.select([connection, other], [], [], 20)[0]
                if not ready:
                    return
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    (other if one is connection else connection).sendall(data)


class Record:
    """What the listeners have seen since the last take()."""

    def __init__(self):
        self.events, self.lock = [], threading.Lock()

    def __call__(self, event):
        with self.lock:
            self.events.append(event)

    def take(self):
        with self.lock:
            events, self.events = self.events, []
        return events


