"""The kubeconfigs, flags and environments that ./compare runs. Each case is a dict:

  name     what it is about
  files    path -> text, or a value that is written as JSON. ${TLS} and the like: World.words in compare; ${DIR} is the case's folder.
           What begins with #! is made executable
  args     for both programs
  env      beside KUBECONFIG=${DIR}/kc, HOME=${DIR}/home and PATH; None takes one away
  pod      files of a service account: the case runs where it is in /var/run/secrets/kubernetes.io/serviceaccount
  sends    whether a request is sent, by both programs
  says     what our error has to say
  exit     our exit code where nothing was sent (default 2); 1 where only the handshake could tell
  plugin   a credential plugin writes down what it is told: compared
  differs  {"why", "kubectl": sends, "ours": sends, "seen": {...}}: we differ on purpose; what has been seen of our request, if it matters
"""

CLUSTER = {"server": "${TLS}", "certificate-authority-data": "${CA_CRT_DATA}"}
USER = {"token": "t0ken"}


def config(cluster=None, user=None, context=None, **more):
    """One context c of cluster k and user u. What is given is put over the usual fields; a field of None is taken out."""
    def over(usual, given):
        return {key: value for key, value in {**usual, **(given or {})}.items() if value is not None}

    return over({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": over({"cluster": "k", "user": "u"}, context)}],
        "clusters": [{"name": "k", "cluster": over(CLUSTER, cluster)}],
        "users": [{"name": "u", "user": over(USER, user)}],
    }, more)


def case(name, kc=None, args=(), sends=True, files=None, **more):
    return {"name": name, "files": {**({"kc": kc} if kc is not None else {}), **(files or {})}, "args": list(args), "sends": sends, **more}


CERTIFICATE = {"token": None, "client-certificate-data": "${ONE_CRT_DATA}", "client-key-data": "${ONE_KEY_DATA}"}
PLUGIN = """#!/bin/sh
mkdir -p ${DIR}/seen
printf '%s' "$KUBERNETES_EXEC_INFO" > ${DIR}/seen/$$.info
printf '%s|' "$@" "$MINE" "$0" > ${DIR}/seen/$$.args
echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"from-plugin"}}'
"""
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "./plugin"}
ACCOUNT = {"token": "pod-token", "namespace": "pod-ns"}
POD_ENV = {"KUBECONFIG": None, "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "${TLS_PORT}"}
POD_CA = {**ACCOUNT, "ca.crt": "${CA_PEM}"}
YAML = """# comment
apiVersion: v1
kind: Config
current-context: "c"
contexts:
- {name: c, context: {cluster: k, user: u, namespace: 'n'}}
clusters:
- name: k
  cluster:
    server: ${TLS}
    certificate-authority-data: >-
      ${CA_CRT_DATA}
users:
- name: u
  user: &u
    token: t0ken
"""


def two_contexts(**more):
    return config(contexts=[{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "first"}},
                            {"name": "d", "context": {"cluster": "l", "user": "v", "namespace": "second"}}],
                  clusters=[{"name": "k", "cluster": CLUSTER}, {"name": "l", "cluster": {**CLUSTER, "server": "${TLS}/prefix"}}],
                  users=[{"name": "u", "user": {"token": "one"}}, {"name": "v", "user": {"token": "two"}}], **more)


def proxied(**more):
    return config(cluster={"server": "https://cluster.test:6443", **more})


CASES = [
    # --- where the kubeconfig comes from -----------------------------------------------------------------------------------------
    case("the file of KUBECONFIG", config()),
    case("--kubeconfig wins over KUBECONFIG", "no kubeconfig", ["--kubeconfig=${DIR}/other"], files={"other": config(user={"token": "other"})}),
    case("a relative --kubeconfig", None, ["--kubeconfig=sub/kc"], files={"sub/kc": config()}, env={"KUBECONFIG": None}),
    case("an empty --kubeconfig is none", config(), ["--kubeconfig="]),
    case("~/.kube/config", None, files={"home/.kube/config": config()}, env={"KUBECONFIG": None}),
    case("an empty KUBECONFIG is none", None, files={"home/.kube/config": config()}, env={"KUBECONFIG": ""}),
    case("KUBECONFIG of nothing but colons: no file, not even the one at home", None, files={"home/.kube/config": config()},
         env={"KUBECONFIG": "::"}, sends=False, says=["no kubeconfig"]),
    case("empty entries and missing files in KUBECONFIG", config(), env={"KUBECONFIG": ":${DIR}/missing::${DIR}/kc:"}),
    case("a file named twice", config(), env={"KUBECONFIG": "${DIR}/kc:${DIR}/kc"}),
    case("--kubeconfig of a missing file", config(), ["--kubeconfig=${DIR}/missing"], sends=False, says=["${DIR}/missing"]),
    case("all files of KUBECONFIG are missing", None, env={"KUBECONFIG": "${DIR}/a:${DIR}/b"}, sends=False, says=["${DIR}/a"]),
    case("a folder for a file", None, env={"KUBECONFIG": "${DIR}"}, sends=False, says=["directory"]),
    case("a folder beside a file", config(), env={"KUBECONFIG": "${DIR}/kc:${DIR}/home"}, sends=False, says=["directory"]),
    case("a broken file beside a good one", config(), env={"KUBECONFIG": "${DIR}/kc:${DIR}/bad"}, files={"bad": "a: ["}, sends=False),
    case("an empty file beside a good one", config(), env={"KUBECONFIG": "${DIR}/empty:${DIR}/kc"}, files={"empty": ""}),
    case("an empty file alone", "", sends=False, says=["empty"]),
    case("no kubeconfig at all", None, env={"KUBECONFIG": None}, sends=False, says=["no kubeconfig"]),

    # --- merging ---------------------------------------------------------------------------------------------------------------------
    case("of entries of one name the first file's counts, whole", config(user={"token": "first"}), env={"KUBECONFIG": "${DIR}/kc:${DIR}/b"},
         files={"b": config(user={"token": "second", "as": "somebody"}, cluster={"server": "https://127.0.0.1:1", "tls-server-name": "x"},
                            context={"namespace": "second"})}),
    case("the first current-context counts", two_contexts(**{"current-context": None}), env={"KUBECONFIG": "${DIR}/kc:${DIR}/b:${DIR}/d"},
         files={"b": {"current-context": "d"}, "d": {"current-context": "c"}}),
    case("context, cluster and user each in a file of its own", config(clusters=None, users=None),
         env={"KUBECONFIG": "${DIR}/kc:${DIR}/k:${DIR}/u"}, files={"k": {"clusters": [{"name": "k", "cluster": CLUSTER}]},
                                                                  "u": {"users": [{"name": "u", "user": USER}]}}),
    case("relative paths count from the file that the entry comes from", config(clusters=None, users=None),
         env={"KUBECONFIG": "${DIR}/kc:${DIR}/a/k:b/u"},
         files={"a/k": {"clusters": [{"name": "k", "cluster": {"server": "${TLS}", "certificate-authority": "pki/ca.crt"}}]},
                "a/pki/ca.crt": "${CA_PEM}", "b/u": {"users": [{"name": "u", "user": {
                    "client-certificate": "one.crt", "client-key": "../one.key", "tokenFile": "./token"}}]},
                "b/one.crt": "${ONE_PEM}", "one.key": "${ONE_KEY_PEM}", "b/token": "from-file\n"}),
    case("a relative path is cleaned as text: what stands before .. need not exist", config(cluster={
        "certificate-authority-data": None, "certificate-authority": "nowhere/../ca.crt"}), files={"ca.crt": "${CA_PEM}"}),
    case("an absolute path", config(cluster={"certificate-authority-data": None, "certificate-authority": "${PKI}/ca.crt"})),
    case("a name twice in one list", config(users=[{"name": "u", "user": USER}, {"name": "u", "user": USER}]), sends=False, says=["repeated"]),

    # --- context, cluster, user, namespace -------------------------------------------------------------------------------------------
    case("--context", two_contexts(), ["--context=d"]),
    case("an empty --context is none", two_contexts(), ["--context="]),
    case("--context of no such name", two_contexts(), ["--context=e"], sends=False, says=['"e"']),
    case("current-context of no such name", two_contexts(**{"current-context": "e"}), sends=False, says=['"e"']),
    case("current-context of no such name, and --cluster and --user", two_contexts(**{"current-context": "e"}), ["--cluster=k", "--user=u"],
         sends=False, says=['"e"']),
    case("no current-context", two_contexts(**{"current-context": None}), sends=False, says=["no current-context"]),
    case("no current-context, but --context", two_contexts(**{"current-context": None}), ["--context=d"]),
    case("no current-context, but --cluster and --user", two_contexts(**{"current-context": None}), ["--cluster=l", "--user=v"]),
    case("--cluster", two_contexts(), ["--cluster=l"]),
    case("--user", two_contexts(), ["--user=v"]),
    case("--context, --cluster and --user", two_contexts(), ["--context=d", "--cluster=k", "--user=u"]),
    case("--cluster of no such name", two_contexts(), ["--cluster=x"], sends=False, says=['"x"']),
    case("--user of no such name", two_contexts(), ["--user=x"], sends=False, says=['"x"']),
    case("a context that names an unknown cluster", config(context={"cluster": "x"}), sends=False, says=['"x"']),
    case("a context that names an unknown user", config(context={"user": "x"}), sends=False, says=['"x"']),
    case("a context that names an unknown user, and --token", config(context={"user": "x"}), ["--token=flag"], says=[]),
    case("a context that names an unknown cluster, and --server", config(context={"cluster": "x"}), ["--server=${PLAIN}"]),
    case("a context without cluster", config(context={"cluster": None}), sends=False, says=["no cluster"]),
    case("a context without user, and --token", config(context={"user": None}), ["--token=flag"]),
    case("a user that shows nothing", config(user={"token": None}), sends=False, differs={
        "why": "kubectl asks for a user name and a password, which no API server has taken since 1.19; we ask as nobody",
        "kubectl": False, "ours": True}),
    case("the namespace of the context", config(context={"namespace": "mine"})),
    case("--namespace wins over it", config(context={"namespace": "mine"}), ["--namespace=yours"]),
    case("-n with a context of no namespace", config(), ["-n", "yours"]),
    case("--context brings its namespace", two_contexts(), ["--context=d", "--cluster=k"]),

    # --- the server -------------------------------------------------------------------------------------------------------------------
    case("a server with a path", config(cluster={"server": "${TLS}/prefix"})),
    case("a server with a path and slashes at the end", config(cluster={"server": "${TLS}/prefix/"})),
    case("a server with a slash at the end", config(cluster={"server": "${TLS}/"})),
    case("a server without scheme is asked in clear text, without credentials", config(cluster={
        "server": "127.0.0.1:${PLAIN_PORT}", "certificate-authority-data": None})),
    case("a server without scheme, with a CA", config(cluster={"server": "127.0.0.1:${PLAIN_PORT}"})),
    case("a server without scheme, with insecure-skip-tls-verify", config(cluster={
        "server": "127.0.0.1:${PLAIN_PORT}", "certificate-authority-data": None, "insecure-skip-tls-verify": True})),
    case("a server without scheme, with a path", config(cluster={"server": "127.0.0.1:${PLAIN_PORT}/prefix"}), sends=False),
    case("clear text carries no credentials, but whom to act as", config(cluster={"server": "${PLAIN}", "certificate-authority-data": None},
                                                                          user={"as": "somebody", "as-groups": ["g"]})),
    case("a cluster without server", config(cluster={"server": None}), sends=False, says=["no server"]),
    case("--server", config(), ["--server=${TLS}/prefix"]),
    case("--server takes the file's tls-server-name away", config(cluster={"tls-server-name": "wrong.test"}), ["--server=${TLS}"]),
    case("--server alone, no kubeconfig", None, ["--server=${PLAIN}", "--token=flag"], env={"KUBECONFIG": None}),
    case("--server with CA and token, no kubeconfig", None, ["-s", "${TLS}", "--certificate-authority=${PKI}/ca.crt", "--token=flag"],
         env={"KUBECONFIG": None}),
    case("--server with CA and certificate, no kubeconfig", None,
         ["--server=${TLS}", "--certificate-authority=${PKI}/ca.crt", "--client-certificate=${PKI}/one.crt", "--client-key=${PKI}/one.key"],
         env={"KUBECONFIG": None}),
    case("--server, where the context is missing", two_contexts(**{"current-context": "e"}), ["--server=${TLS}", "--token=flag"], sends=False),
    case("--server, where no context is chosen", two_contexts(**{"current-context": None}), ["--server=${PLAIN}"]),
    case("a server that is no address", config(cluster={"server": "https://"}), sends=False),

    # --- TLS -------------------------------------------------------------------------------------------------------------------------
    case("a CA in a file", config(cluster={"certificate-authority-data": None, "certificate-authority": "ca.crt"}), files={"ca.crt": "${CA_PEM}"}),
    case("a CA as data and as file", config(cluster={"certificate-authority": "${PKI}/ca.crt"}), sends=False, says=["certificate-authority"]),
    case("a CA file that is missing", config(cluster={"certificate-authority-data": None, "certificate-authority": "missing"}), sends=False,
         says=["missing"]),
    case("CA data that is no base64", config(cluster={"certificate-authority-data": "***"}), sends=False, says=["certificate-authority-data"]),
    case("CA data in several lines", config(cluster={"certificate-authority-data": "${CA_CRT_LINES}"})),
    case("CA data that is no PEM", config(cluster={"certificate-authority-data": "aGVsbG8="}), sends=False, says=["certificate-authority-data"]),
    case("no CA, and one that the system does not know", config(cluster={"certificate-authority-data": None}), sends=False, exit=1,
         says=["not signed by an authority that we trust"]),
    case("no CA, but SSL_CERT_FILE", config(cluster={"certificate-authority-data": None}), env={"SSL_CERT_FILE": "${PKI}/ca.crt"}),
    case("no CA, but SSL_CERT_DIR", config(cluster={"certificate-authority-data": None}), env={"SSL_CERT_DIR": "${PKI}/hashed"}),
    case("SSL_CERT_FILE of a missing file", config(cluster={"certificate-authority-data": None}), env={"SSL_CERT_FILE": "${DIR}/none",
                                                                                                     "SSL_CERT_DIR": "${DIR}/none"},
         sends=False, says=["SSL_CERT_FILE"]),
    case("a CA in the file counts before SSL_CERT_FILE", config(), env={"SSL_CERT_FILE": "${PKI}/other-ca.crt"}),
    case("insecure-skip-tls-verify", config(cluster={"certificate-authority-data": None, "insecure-skip-tls-verify": True})),
    case("insecure-skip-tls-verify and a CA", config(cluster={"insecure-skip-tls-verify": True}), sends=False, says=["exclude"]),
    case("--insecure-skip-tls-verify takes the file's CA away", config(cluster={"certificate-authority-data": "${OTHER_CA_CRT_DATA}"}),
         ["--insecure-skip-tls-verify"]),
    case("--insecure-skip-tls-verify=false", config(), ["--insecure-skip-tls-verify=false"]),
    case("--insecure-skip-tls-verify=false leaves the file's true", config(cluster={
        "certificate-authority-data": None, "insecure-skip-tls-verify": True}), ["--insecure-skip-tls-verify=false"]),
    case("--insecure-skip-tls-verify=true and --certificate-authority", config(), ["--insecure-skip-tls-verify=true",
                                                                                   "--certificate-authority=${PKI}/ca.crt"], sends=False),
    case("--certificate-authority wins over the file's data", config(cluster={"certificate-authority-data": "${OTHER_CA_CRT_DATA}"}),
         ["--certificate-authority=${PKI}/ca.crt"]),
    case("--certificate-authority sets the file's insecure-skip-tls-verify aside", config(cluster={
        "certificate-authority-data": None, "insecure-skip-tls-verify": True}), ["--certificate-authority=${PKI}/other-ca.crt"], sends=False,
         exit=1),
    case("--certificate-authority of a missing file", config(), ["--certificate-authority=${DIR}/missing"], sends=False, says=["missing"]),
    case("a CA of the right name and the wrong key", config(cluster={"certificate-authority-data": "${OTHER_CA_CRT_DATA}"}), sends=False, exit=1,
         says=["not signed by an authority that we trust"]),
    case("tls-server-name", config(cluster={"tls-server-name": "other.test"})),
    case("tls-server-name that is not in the certificate", config(cluster={"tls-server-name": "no.test"}), sends=False, exit=1, says=["no.test"]),
    case("--tls-server-name wins", config(cluster={"tls-server-name": "no.test"}), ["--tls-server-name=cluster.test"]),
    case("--server and --tls-server-name", config(), ["--server=${TLS}", "--tls-server-name=cluster.test"]),
    case("disable-compression", config(cluster={"disable-compression": True})),
    case("--disable-compression", config(), ["--disable-compression"]),
    case("--disable-compression=false leaves the file's true", config(cluster={"disable-compression": True}), ["--disable-compression=false"]),

    # --- who we are -------------------------------------------------------------------------------------------------------------------
    case("a certificate as data", config(user=CERTIFICATE)),
    case("a certificate in files", config(user={"token": None, "client-certificate": "one.crt", "client-key": "one.key"}),
         files={"one.crt": "${ONE_PEM}", "one.key": "${ONE_KEY_PEM}"}),
    case("a certificate as data and its key in a file", config(user={**CERTIFICATE, "client-key-data": None, "client-key": "${PKI}/one.key"})),
    case("a certificate as data and as file", config(user={**CERTIFICATE, "client-certificate": "${PKI}/one.crt"}), sends=False,
         says=["client-certificate"]),
    case("a key as data and as file", config(user={**CERTIFICATE, "client-key": "${PKI}/one.key"}), sends=False, says=["client-key"]),
    case("a certificate without key", config(user={**CERTIFICATE, "client-key-data": None}), sends=False, says=["client-key"]),
    case("a key without certificate, and a token", config(user={**USER, "client-key-data": "${ONE_KEY_DATA}"})),
    case("a certificate and the key of another", config(user={**CERTIFICATE, "client-key-data": "${TWO_KEY_DATA}"}), sends=False,
         says=["client certificate"]),
    case("--client-certificate and --client-key beside a token", config(), ["--client-certificate=${PKI}/two.crt", "--client-key=${PKI}/two.key"]),
    case("--client-certificate and --client-key over the file's files", config(user={
        "token": None, "client-certificate": "${PKI}/one.crt", "client-key": "${PKI}/one.key"}),
         ["--client-certificate=${PKI}/two.crt", "--client-key=${PKI}/two.key"]),
    case("--client-certificate beside the file's data", config(user=CERTIFICATE), ["--client-certificate=${PKI}/two.crt", "--client-key=${PKI}/two.key"],
         sends=False, says=["client-certificate"]),
    case("--client-certificate without a key", config(), ["--client-certificate=${PKI}/two.crt"], sends=False, says=["client-key"]),
    case("--client-key without a certificate", config(), ["--client-key=${PKI}/two.key"]),
    case("flags' paths count from the working directory", config(), ["--client-certificate=sub/two.crt", "--client-key=sub/two.key",
                                                                     "--kubeconfig=conf/kc"],
         files={"conf/kc": config(), "sub/two.crt": "${TWO_PEM}", "sub/two.key": "${TWO_KEY_PEM}"}),
    case("a token and a certificate", config(user={**CERTIFICATE, "token": "both"})),
    case("--token beside a certificate", config(user=CERTIFICATE), ["--token=flag"]),
    case("--token wins over the file's", config(), ["--token=flag"]),
    case("tokenFile", config(user={"token": None, "tokenFile": "token"}), files={"token": " from-file \n"}),
    case("tokenFile wins over token", config(user={"tokenFile": "token"}), files={"token": "from-file"}),
    case("token stands in for a missing tokenFile", config(user={"tokenFile": "token"})),
    case("a missing tokenFile alone", config(user={"token": None, "tokenFile": "token"}), sends=False, says=["tokenFile"]),
    case("--token beside tokenFile", config(user={"token": None, "tokenFile": "token"}), ["--token=flag"], files={"token": "from-file"}),
    case("--token beside a tokenFile that is missing", config(user={"token": None, "tokenFile": "token"}), ["--token=flag"]),
    case("user name and password", config(user={"token": None, "username": "a", "password": "b"}), sends=True, says=["username and password"],
         differs={"why": "no API server has taken a password since 1.19, so we refuse it", "kubectl": True, "ours": False}),
    case("password and token", config(user={"username": "a", "password": "b"}), sends=False, says=["username and password"]),
    case("an auth-provider that Kubernetes has removed", config(user={"token": None, "auth-provider": {"name": "gcp"}}), sends=False, says=["gcp"]),
    case("an empty --token is none", config(), ["--token="]),

    # --- plugins ---------------------------------------------------------------------------------------------------------------------
    case("a plugin beside the kubeconfig", config(user={"token": None, "exec": {**EXEC, "args": ["a", "b c"], "env": [{"name": "MINE", "value": "v"}]}}),
         files={"plugin": PLUGIN}, plugin=True),
    case("a plugin beside a kubeconfig that is named without its folder", config(user={"token": None, "exec": EXEC}), ["--kubeconfig=kc"],
         files={"plugin": PLUGIN}, env={"KUBECONFIG": None}, plugin=True),
    case("a plugin in PATH", config(user={"token": None, "exec": {**EXEC, "command": "plugin"}}), files={"bin/plugin": PLUGIN},
         env={"PATH": "${DIR}/bin:/usr/bin:/bin"}, plugin=True),
    case("a plugin that is told of the cluster", config(
        cluster={"tls-server-name": "cluster.test", "disable-compression": True, "extensions": [
            {"name": "client.authentication.k8s.io/exec", "extension": {"some": {"thing": [1, "two"]}}}, {"name": "other", "extension": {"a": 1}}]},
        user={"token": None, "exec": {**EXEC, "provideClusterInfo": True}}), files={"plugin": PLUGIN}, plugin=True),
    case("a plugin that is told of a proxy", config(cluster={"server": "https://cluster.test:6443", "proxy-url": "${HTTP_PROXY_URL}"},
                                                     user={"token": None, "exec": {**EXEC, "provideClusterInfo": True}}),
         files={"plugin": PLUGIN}, plugin=True),
    case("a plugin is not told of the environment's proxy", config(cluster={"server": "https://cluster.test:6443"},
                                                                    user={"token": None, "exec": {**EXEC, "provideClusterInfo": True}}),
         files={"plugin": PLUGIN}, plugin=True, env={"HTTPS_PROXY": "${HTTP_PROXY_URL}"}),
    case("a plugin that is told of insecure-skip-tls-verify", config(
        cluster={"certificate-authority-data": None, "insecure-skip-tls-verify": True},
        user={"token": None, "exec": {**EXEC, "provideClusterInfo": True}}), files={"plugin": PLUGIN}, plugin=True),
    case("a plugin of v1beta1 needs no interactiveMode", config(user={"token": None, "exec": {
        "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./plugin"}}),
         files={"plugin": PLUGIN.replace("k8s.io/v1", "k8s.io/v1beta1")}, plugin=True),
    case("a plugin of v1 without interactiveMode", config(user={"token": None, "exec": {**EXEC, "interactiveMode": ""}}), files={"plugin": PLUGIN},
         sends=False, says=["interactiveMode"]),
    case("a plugin of v1alpha1", config(user={"token": None, "exec": {**EXEC, "apiVersion": "client.authentication.k8s.io/v1alpha1"}}),
         files={"plugin": PLUGIN}, sends=False, says=["v1alpha1"]),
    case("a plugin that needs a terminal", config(user={"token": None, "exec": {**EXEC, "interactiveMode": "Always"}}), files={"plugin": PLUGIN},
         sends=False, says=["terminal"]),
    case("a plugin that answers for another version", config(user={"token": None, "exec": EXEC}),
         files={"plugin": PLUGIN.replace("k8s.io/v1", "k8s.io/v1beta1")}, sends=False, says=["another apiVersion"]),
    case("a plugin that fails", config(user={"token": None, "exec": EXEC}), files={"plugin": "#!/bin/sh\necho why >&2\nexit 3\n"}, sends=False,
         says=["exit code 3", "why"]),
    case("a plugin that prints garbage", config(user={"token": None, "exec": EXEC}), files={"plugin": "#!/bin/sh\necho garbage\n"}, sends=False,
         says=["plugin"]),
    case("a plugin that is missing", config(user={"token": None, "exec": {**EXEC, "installHint": "install it first"}}), sends=False,
         says=["install it first"]),
    case("--token makes a plugin needless", config(user={"token": None, "exec": EXEC}), ["--token=flag"]),
    case("a certificate makes a plugin needless", config(user={**CERTIFICATE, "exec": EXEC})),
    case("a plugin and an auth-provider", config(user={"token": None, "exec": EXEC, "auth-provider": {"name": "oidc"}}), files={"plugin": PLUGIN},
         sends=False),

    # --- acting as somebody else -----------------------------------------------------------------------------------------------------
    case("as, of the file", config(user={"as": "somebody", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": {"Some/Key": ["x", "y"]}})),
    case("--as", config(), ["--as=flag"]),
    case("--as, --as-group and --as-uid", config(), ["--as=flag", "--as-group=a", "--as-group=b,c", "--as-uid=7"]),
    case("--as over the file's, whose groups stay", config(user={"as": "somebody", "as-groups": ["a"], "as-user-extra": {"k": ["v"]}}), ["--as=flag"]),
    case("--as-group over the file's", config(user={"as": "somebody", "as-groups": ["a", "b"]}), ["--as-group=c"]),
    case("--as-uid without a user", config(), ["--as-uid=7"], sends=False, says=["--as"]),
    case("--as-group without a user", config(), ["--as-group=g"], sends=False, says=["--as"]),
    case("extras without a user", config(user={"as-user-extra": {"k": ["v"]}}), sends=False, says=["--as"]),

    # --- proxies ---------------------------------------------------------------------------------------------------------------------
    case("proxy-url: http", proxied(**{"proxy-url": "${HTTP_PROXY_URL}"})),
    case("proxy-url: https", proxied(**{"proxy-url": "${HTTPS_PROXY_URL}"})),
    case("proxy-url: socks5, which finds the address by itself", proxied(**{"proxy-url": "${SOCKS_PROXY_URL}"})),
    case("proxy-url of http with a password", proxied(**{"proxy-url": "http://user:pass%20word@127.0.0.1:${HTTP_PROXY_PORT}"})),
    case("proxy-url of socks5 with a password", proxied(**{"proxy-url": "socks5://user:pass@127.0.0.1:${SOCKS_PROXY_PORT}"})),
    case("proxy-url counts for loopback, too", config(cluster={"proxy-url": "${HTTP_PROXY_URL}"})),
    case("proxy-url wins over the environment and NO_PROXY", proxied(**{"proxy-url": "${SOCKS_PROXY_URL}"}),
         env={"HTTPS_PROXY": "${HTTP_PROXY_URL}", "NO_PROXY": "*"}),
    case("proxy-url of a scheme in capitals", proxied(**{"proxy-url": "HTTP://127.0.0.1:${HTTP_PROXY_PORT}"})),
    case("proxy-url: socks4", proxied(**{"proxy-url": "socks4://127.0.0.1:${SOCKS_PROXY_PORT}"}), sends=False, says=["proxy-url"]),
    case("proxy-url without scheme", proxied(**{"proxy-url": "127.0.0.1:${HTTP_PROXY_PORT}"}), sends=False, says=["proxy-url"]),
    case("proxy-url and tls-server-name", proxied(**{"proxy-url": "${HTTP_PROXY_URL}", "tls-server-name": "other.test"})),
    case("proxy-url and a certificate", config(cluster={"server": "https://cluster.test:6443", "proxy-url": "${HTTP_PROXY_URL}"}, user=CERTIFICATE)),
    case("HTTPS_PROXY", proxied(), env={"HTTPS_PROXY": "${HTTP_PROXY_URL}"}),
    case("https_proxy", proxied(), env={"https_proxy": "${HTTP_PROXY_URL}"}),
    case("HTTPS_PROXY wins over https_proxy", proxied(), env={"HTTPS_PROXY": "${HTTP_PROXY_URL}", "https_proxy": "${SOCKS_PROXY_URL}"}),
    case("HTTPS_PROXY without scheme", proxied(), env={"HTTPS_PROXY": "127.0.0.1:${HTTP_PROXY_PORT}"}),
    case("HTTPS_PROXY of socks5", proxied(), env={"HTTPS_PROXY": "${SOCKS_PROXY_URL}"}),
    case("HTTPS_PROXY of socks5h", proxied(), env={"HTTPS_PROXY": "socks5h://127.0.0.1:${SOCKS_PROXY_PORT}"}),
    case("HTTPS_PROXY of https", proxied(), env={"HTTPS_PROXY": "${HTTPS_PROXY_URL}"}),
    case("HTTPS_PROXY does not count for loopback", config(), env={"HTTPS_PROXY": "${HTTP_PROXY_URL}"}),
    case("HTTP_PROXY does not count for https", config(), env={"HTTP_PROXY": "http://127.0.0.1:1"}),
    case("NO_PROXY of another host", proxied(), env={"HTTPS_PROXY": "${HTTP_PROXY_URL}", "NO_PROXY": "10.0.0.0/8,other.test,uster.test"}),
    case("NO_PROXY of another port", proxied(), env={"HTTPS_PROXY": "${HTTP_PROXY_URL}", "NO_PROXY": "cluster.test:443"}),
    case("NO_PROXY names a domain", proxied(), env={"HTTPS_PROXY": "${HTTP_PROXY_URL}", "NO_PROXY": " a, .TEST"}, sends=False, exit=1),
    case("NO_PROXY names everything", proxied(), env={"HTTPS_PROXY": "${HTTP_PROXY_URL}", "NO_PROXY": "*"}, sends=False, exit=1),
    case("--server goes through the file's proxy", config(cluster={"server": "https://127.0.0.1:1", "proxy-url": "${HTTP_PROXY_URL}"}),
         ["--server=https://cluster.test:6443"]),

    # --- time ------------------------------------------------------------------------------------------------------------------------
    case("--request-timeout in seconds", config(), ["--request-timeout=7"]),
    case("--request-timeout with a unit", config(), ["--request-timeout=1m"]),
    case("--request-timeout 0", config(), ["--request-timeout=0"]),
    case("--request-timeout that is none", config(), ["--request-timeout=soon"], sends=False, says=["--request-timeout"]),
    case("--request-timeout below zero", config(), ["--request-timeout=-1"], sends=False, says=["--request-timeout"]),

    # --- in a pod --------------------------------------------------------------------------------------------------------------------
    case("in a pod", None, pod=POD_CA, env=POD_ENV),
    case("in a pod, with --namespace", None, ["-n", "mine"], pod=POD_CA, env=POD_ENV),
    case("in a pod, with POD_NAMESPACE", None, pod=POD_CA, env={**POD_ENV, "POD_NAMESPACE": "variable"}),
    case("in a pod, with --token", None, ["--token=flag"], pod=POD_CA, env=POD_ENV),
    case("in a pod, with --certificate-authority", None, ["--certificate-authority=${PKI}/other-ca.crt"], pod=POD_CA, env=POD_ENV, sends=False, exit=1),
    case("in a pod, with --server: the account's token is for the pod's own cluster alone", None,
         ["--server=${TLS}", "--certificate-authority=${PKI}/ca.crt", "--token=flag"], pod=POD_CA, env=POD_ENV),
    case("in a pod, with --server and no token", None, ["--server=${TLS}", "--certificate-authority=${PKI}/ca.crt"], pod=POD_CA, env=POD_ENV,
         sends=False, differs={"why": "kubectl asks for a user name and a password; we ask as nobody", "kubectl": False, "ours": True,
                               "seen": {"authorization": None}}),
    case("in a pod, with --server in clear text", None, ["--server=${PLAIN}"], pod=POD_CA, env=POD_ENV),
    case("in a pod, a kubeconfig counts before it", config(), pod=POD_CA, env={**POD_ENV, "KUBECONFIG": "${DIR}/kc"}),
    case("in a pod, a kubeconfig without namespace takes the pod's", config(), pod=POD_CA, env={**POD_ENV, "KUBECONFIG": "${DIR}/kc"}),
    case("in a pod, a kubeconfig's own namespace", config(context={"namespace": "default"}), pod=POD_CA, env={**POD_ENV, "KUBECONFIG": "${DIR}/kc"}),
    case("in a pod, with a missing file in KUBECONFIG", None, pod=POD_CA, env={**POD_ENV, "KUBECONFIG": "${DIR}/missing"}),
    case("in a pod, with a kubeconfig that says nothing", {"apiVersion": "v1", "kind": "Config", "clusters": None, "contexts": None,
                                                           "users": None, "current-context": ""}, pod=POD_CA,
         env={**POD_ENV, "KUBECONFIG": "${DIR}/kc"}),
    case("in a pod, with an empty kubeconfig", "", pod=POD_CA, env={**POD_ENV, "KUBECONFIG": "${DIR}/kc"}),
    case("in a pod, with --kubeconfig of a missing file", None, ["--kubeconfig=${DIR}/missing"], pod=POD_CA, env=POD_ENV, sends=False, says=["missing"]),
    case("in a pod, with --context", None, ["--context=c"], pod=POD_CA, env=POD_ENV, sends=False, says=["no kubeconfig"]),
    case("in a pod without its service's address", None, pod=POD_CA, env={"KUBECONFIG": None}, sends=False, says=["no kubeconfig"]),
    case("in a pod without service account", None, pod={"namespace": "pod-ns"}, env=POD_ENV, sends=False, says=["no kubeconfig"]),
    case("in a pod, with --as", None, ["--as=somebody"], pod=POD_CA, env=POD_ENV, differs={
        "why": "with --as kubectl takes its own default for a kubeconfig and asks localhost:8080", "kubectl": False, "ours": True}),

    # --- what a file may look like ----------------------------------------------------------------------------------------------------
    case("YAML", YAML),
    case("unknown fields", config(cluster={"colour": "red"}, user={"x": {"y": 1}}, preferences={"colors": True}, extensions=[], more=1)),
    case("no kind and no apiVersion", config(kind=None, apiVersion=None)),
    case("another kind", config(kind="Pod"), sends=False, says=["Pod"]),
    case("another apiVersion", config(apiVersion="v2"), sends=False, says=["v2"]),
    case("lists that are null", config(**{"preferences": None, "extensions": None}), files={"x": ""}),
    case("names that YAML takes for something else", "current-context: n\ncontexts: [{name: n, context: {cluster: k}}]\n", sends=False),
    case("a number for a token", """current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "${TLS}", certificate-authority-data: "${CA_CRT_DATA}"}}]
users: [{name: u, user: {token: 12345}}]
""", sends=False, says=["token"]),
    case("text for a switch", config(cluster={"certificate-authority-data": None, "insecure-skip-tls-verify": "true"}), sends=False,
         says=["insecure-skip-tls-verify"]),
    case("a list for an object", config(clusters={"k": {}}), sends=False, says=["clusters"]),
    case("tabs", "apiVersion: v1\nkind: Config\nclusters:\n\t- name: k\n", sends=False, says=["line 4"]),
    case("20,000 nested brackets", "a: " + "[" * 20000, sends=False, says=["kc"]),
    case("not YAML", "\x01\x02 {", sends=False, says=["kc"]),
    case("a key twice", YAML + "current-context: c\n", sends=False, says=["current-context"], differs={
        "why": "kubectl lets the last one win and says nothing", "kubectl": True, "ours": False}),
    case("two documents", YAML + "---\n" + YAML, sends=False, says=["kc"], differs={
        "why": "kubectl reads the first and says nothing of the second", "kubectl": True, "ours": False}),
    case("17 MiB", YAML + "# " + "x" * (17 << 20) + "\n", sends=False, says=["16 MiB"], differs={
        "why": "no kubeconfig is that large; we read 16 MiB at most", "kubectl": True, "ours": False}),
]
