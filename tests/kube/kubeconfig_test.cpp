#include "kube/kubeconfig.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <type_traits>

#include "base/text.hpp"

using vmbackup::base::Error;
using vmbackup::base::ErrorCode;
using vmbackup::base::Result;
using vmbackup::kube::Connection;
using vmbackup::kube::kubeconfig_names;
using vmbackup::kube::KubeconfigNames;
using vmbackup::kube::KubeconfigSource;
using vmbackup::kube::load_connection;
using vmbackup::kube::Secret;

namespace {

namespace fs = std::filesystem;

const std::string k_ca = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n";
const std::string k_cert = "-----BEGIN CERTIFICATE-----\nQ0VSVA==\n-----END CERTIFICATE-----\n";
const std::string k_key = "-----BEGIN PRIVATE KEY-----\nS0VZ\n-----END PRIVATE KEY-----\n";

// A folder of its own for each test; gone afterwards.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "kubeconfig_test.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    const fs::path file = path_ / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }

 private:
  fs::path path_;
};

// A kubeconfig of one context "c", with these lines in its cluster, user and context.
std::string config(const std::string& cluster, const std::string& user = "token: t", const std::string& context = "") {
  const auto block = [](const std::string& lines) {
    std::string out;
    for (const std::string& line : vmbackup::base::split(lines, '\n')) out += "    " + line + "\n";
    return out;
  };
  return "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
         "contexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n" +
         block(context) + "clusters:\n- name: k\n  cluster:\n" + block(cluster) + "users:\n- name: u\n  user:\n" + block(user);
}

const std::string k_server = "server: https://example.org:6443";

KubeconfigSource from(const std::string& path) {
  KubeconfigSource source;
  source.explicit_path = path;
  return source;
}

Error error_of(const Result<Connection>& result) {
  REQUIRE_FALSE(result.ok());
  return result.error();
}

// `text` without the folder's path, which is another one each time.
std::string without(const std::string& folder, std::string text) {
  for (std::size_t at = text.find(folder); at != std::string::npos; at = text.find(folder)) text.replace(at, folder.size(), "DIR");
  return text;
}

}  // namespace

TEST_CASE("a secret cannot be printed") {
  CHECK_FALSE(std::is_convertible_v<Secret, std::string>);
  CHECK(Secret("x").reveal() == "x");
  CHECK(Secret().empty());
}

TEST_CASE("inline data: everything ends up in the connection") {
  const Folder folder;
  const std::string file =
      folder.write("config", config(k_server + "/base/\ncertificate-authority-data: " + vmbackup::base::base64_encode(k_ca) +
                                        "\ntls-server-name: api.example.org\nproxy-url: http://proxy:3128\ndisable-compression: true",
                                    "client-certificate-data: " + vmbackup::base::base64_encode(k_cert) +
                                        "\nclient-key-data: " + vmbackup::base::base64_encode(k_key) + "\ntoken: abc.def-_~+/=",
                                    "namespace: prod"));
  const Result<Connection> connection = load_connection(from(file));
  REQUIRE_MESSAGE(connection.ok(), connection.error().message());
  CHECK(connection->server == "https://example.org:6443/base");
  CHECK(connection->context == "c");
  CHECK(connection->ns == "prod");
  CHECK(connection->ca_pem == k_ca);
  CHECK(connection->certificate_pem == k_cert);
  CHECK(connection->key_pem.reveal() == k_key);
  CHECK(connection->token.reveal() == "abc.def-_~+/=");
  CHECK(connection->tls_server_name == "api.example.org");
  CHECK(connection->proxy_url == "http://proxy:3128");
  CHECK(connection->disable_compression);
  CHECK_FALSE(connection->insecure_skip_tls_verify);
}

TEST_CASE("files: relative paths count from their own kubeconfig, absolute ones do not") {
  const Folder folder;
  folder.write("deep/pki/ca.pem", k_ca);
  folder.write("deep/client.pem", k_cert);
  const std::string key = folder.write("elsewhere/key.pem", k_key);
  folder.write("deep/token", "\n abc \n");
  const std::string file =
      folder.write("deep/config", config(k_server + "\ncertificate-authority: pki/ca.pem",
                                         "client-certificate: ./client.pem\nclient-key: " + key + "\ntokenFile: token"));
  const Result<Connection> connection = load_connection(from(file));
  REQUIRE_MESSAGE(connection.ok(), connection.error().message());
  CHECK(connection->ca_pem == k_ca);
  CHECK(connection->certificate_pem == k_cert);
  CHECK(connection->key_pem.reveal() == k_key);
  CHECK(connection->token.reveal() == "abc");
  CHECK(connection->ns == "default");
}

TEST_CASE("data wins over a file; a token file wins over a token, which stands in where the file is missing") {
  const Folder folder;
  folder.write("token", "from-file");
  const std::string ca = k_server + "\ncertificate-authority: none.pem\ncertificate-authority-data: " + vmbackup::base::base64_encode(k_ca);
  CHECK(load_connection(from(folder.write("a", config(ca))))->ca_pem == k_ca);
  CHECK(load_connection(from(folder.write("b", config(k_server, "token: t\ntokenFile: token"))))->token.reveal() == "from-file");
  CHECK(load_connection(from(folder.write("c", config(k_server, "token: t\ntokenFile: none"))))->token.reveal() == "t");
}

TEST_CASE("a user that shows nothing, and a context without user, are anonymous") {
  const Folder folder;
  const Result<Connection> empty = load_connection(from(folder.write("a", config(k_server, "{}"))));
  REQUIRE(empty.ok());
  CHECK(empty->token.empty());
  CHECK(empty->certificate_pem.empty());
  CHECK(load_connection(from(folder.write("b",
                                          "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                                          "clusters: [{name: k, cluster: {server: 'https://h'}}]\n")))
            .ok());
}

TEST_CASE("JSON is a kubeconfig, too, and unknown fields do no harm") {
  const Folder folder;
  const Result<Connection> connection = load_connection(
      from(folder.write("config", R"({"kind":"Config","preferences":{"colors":true},"current-context":"c","extensions":[{"name":"x"}],
                    "contexts":[{"name":"c","context":{"cluster":"k","user":"u","extensions":[]}}],
                    "clusters":[{"name":"k","cluster":{"server":"https://h:1"}}],"users":[{"name":"u","user":{"token":"t"}}]})")));
  REQUIRE_MESSAGE(connection.ok(), connection.error().message());
  CHECK(connection->server == "https://h:1");
}

TEST_CASE("the caller chooses context and namespace") {
  const Folder folder;
  const std::string text =
      "current-context: one\n"
      "contexts: [{name: one, context: {cluster: k, namespace: n1}}, {name: two, context: {cluster: l, namespace: n2}}]\n"
      "clusters: [{name: k, cluster: {server: 'https://k'}}, {name: l, cluster: {server: 'https://l'}}]\n";
  KubeconfigSource source = from(folder.write("config", text));
  CHECK(load_connection(source)->server == "https://k");
  CHECK(load_connection(source)->ns == "n1");
  source.context = "two";
  CHECK(load_connection(source)->server == "https://l");
  CHECK(load_connection(source)->context == "two");
  CHECK(load_connection(source)->ns == "n2");
  source.ns = "mine";
  CHECK(load_connection(source)->ns == "mine");
}

TEST_CASE("server addresses") {
  struct Row {
    std::string cluster;
    std::string expected;  // empty: refused
  };
  const Row rows[] = {
      {"server: https://h", "https://h"},
      {"server: https://h///", "https://h"},
      {"server: https://[::1]:6443", "https://[::1]:6443"},
      {"server: https://h/k8s/clusters/c-1", "https://h/k8s/clusters/c-1"},
      {"server: http://127.0.0.1:8001", "http://127.0.0.1:8001"},
      {"server: h:8080", "http://h:8080"},
      {"server: h:6443\ninsecure-skip-tls-verify: true", "https://h:6443"},
      {"server: h:6443\ncertificate-authority-data: " + vmbackup::base::base64_encode(k_ca), "https://h:6443"},
      {"server: ftp://h", ""},
      {"server: HTTPS://h", ""},
      {"server: https://", ""},
      {"server: https:///path", ""},
      {"server: https://:6443", ""},
      {"server: https://h?x", ""},
      {"server: https://h#x", ""},
      {"server: https://user:hunter2@h", ""},
      {"server: 'https://h h'", ""},
      {"server: \"https://h\\r\\nX: y\"", ""},
  };
  const Folder folder;
  for (const Row& row : rows) {
    CAPTURE(row.cluster);
    const Result<Connection> connection = load_connection(from(folder.write("config", config(row.cluster))));
    REQUIRE(connection.ok() == !row.expected.empty());
    if (connection.ok()) {
      CHECK(connection->server == row.expected);
    } else {
      CHECK(connection.error().code() == ErrorCode::invalid);
      CHECK(connection.error().message().find("cluster \"k\": server: expected https://HOST[:PORT][/PATH], found ") != std::string::npos);
      CHECK(connection.error().message().find("hunter2") == std::string::npos);
    }
  }
}

TEST_CASE("no credentials go to a server without TLS") {
  const Folder folder;
  const Result<Connection> connection = load_connection(from(folder.write(
      "config", config("server: http://127.0.0.1:8001", "token: t\nclient-certificate-data: " + vmbackup::base::base64_encode(k_cert) +
                                                            "\nclient-key-data: " + vmbackup::base::base64_encode(k_key)))));
  REQUIRE(connection.ok());
  CHECK(connection->token.empty());
  CHECK(connection->certificate_pem.empty());
  CHECK(connection->key_pem.empty());
}

TEST_CASE("what an entry holds wrong is said with file and entry, and no secret") {
  struct Row {
    std::string cluster;
    std::string user;
    std::string message;
  };
  const std::string good_pem = vmbackup::base::base64_encode(k_cert);
  const std::string hidden = vmbackup::base::base64_encode("hunter2");
  const Row rows[] = {
      {"{}", "token: t", "cluster \"k\": it has no server"},
      {"server: 7", "token: t", "cluster \"k\": server: expected string, found integer"},
      {k_server + "\ninsecure-skip-tls-verify: maybe", "token: t",
       "cluster \"k\": insecure-skip-tls-verify: expected boolean, found string"},
      {k_server + "\ncertificate-authority-data: '%%'", "token: t",
       "cluster \"k\": certificate-authority-data: invalid base64: a character at offset 0 does not belong there"},
      {k_server + "\ncertificate-authority-data: " + hidden, "token: t",
       "cluster \"k\": certificate-authority-data: it holds no PEM block (-----BEGIN ...)"},
      {k_server + "\ncertificate-authority: none.pem", "token: t",
       "cluster \"k\": certificate-authority: cannot read DIR/none.pem: no such file or directory"},
      {k_server + "\ncertificate-authority: .", "token: t",
       "cluster \"k\": certificate-authority: cannot read DIR/.: it is a directory, not a file"},
      {k_server + "\ncertificate-authority: empty.pem", "token: t",
       "cluster \"k\": certificate-authority: it holds no PEM block (-----BEGIN ...)"},
      {k_server + "\ninsecure-skip-tls-verify: true\ncertificate-authority-data: " + good_pem, "token: t",
       "cluster \"k\": certificate-authority and insecure-skip-tls-verify exclude each other"},
      {k_server + "\ntls-server-name: 'a b'", "token: t", "cluster \"k\": tls-server-name: \"a b\" is no name"},
      {k_server + "\nproxy-url: ftp://user:hunter2@h", "token: t",
       "cluster \"k\": proxy-url: expected http://, https:// or socks5:// and a host"},
      {k_server + "\nproxy-url: http://", "token: t", "cluster \"k\": proxy-url: expected http://, https:// or socks5:// and a host"},
      {k_server + "\nproxy-url: proxy:3128", "token: t", "cluster \"k\": proxy-url: expected http://, https:// or socks5:// and a host"},
      {k_server, "token: 'hunter2 x'", "user \"u\": the token holds blanks or characters that no HTTP header can carry"},
      {k_server, "token: \"hunter2\\r\\nX: y\"", "user \"u\": the token holds blanks or characters that no HTTP header can carry"},
      {k_server, "token: 12345", "user \"u\": token: expected string, found integer"},
      {k_server, "tokenFile: none", "user \"u\": tokenFile: cannot read DIR/none: no such file or directory"},
      {k_server, "tokenFile: empty.pem", "user \"u\": tokenFile: DIR/empty.pem is empty"},
      {k_server, "client-certificate-data: " + good_pem, "user \"u\": client-certificate without client-key"},
      {k_server, "client-key-data: " + good_pem, "user \"u\": client-key without client-certificate"},
      {k_server, "client-certificate-data: " + good_pem + "\nclient-key-data: " + hidden,
       "user \"u\": client-key-data: it holds no PEM block (-----BEGIN ...)"},
      {k_server, "client-certificate-data: " + good_pem + "\nclient-key-data: hunter2",
       "user \"u\": client-key-data: invalid base64: it is cut off or its padding is wrong"},
  };
  const Folder folder;
  folder.write("empty.pem", "");
  for (const Row& row : rows) {
    const Error error = error_of(load_connection(from(folder.write("config", config(row.cluster, row.user)))));
    CHECK(error.code() == ErrorCode::invalid);
    CHECK(without(fs::path(folder.path("x")).parent_path().string(), error.message()) == "kubeconfig DIR/config: " + row.message);
    CHECK((error.message() + error.hint()).find("hunter2") == std::string::npos);
  }
}

TEST_CASE("ways to sign in that this program does not know are named, not passed over") {
  struct Row {
    std::string user;
    std::string message;
  };
  const Row rows[] = {
      {"token: t\nauth-provider: {name: oidc}", "it signs in with an auth-provider (oidc), which Kubernetes has replaced"},
      {"username: admin\npassword: hunter2", "it signs in with username and password, which Kubernetes has not accepted since 1.19"},
      {"password: hunter2", "it signs in with username and password, which Kubernetes has not accepted since 1.19"},
  };
  const Folder folder;
  for (const Row& row : rows) {
    const Error error = error_of(load_connection(from(folder.write("config", config(k_server, row.user)))));
    CHECK(error.code() == ErrorCode::invalid);
    CHECK(error.message() == "kubeconfig " + folder.path("config") + ": user \"u\": " + row.message +
                                 "; only token, tokenFile, client certificates and exec plugins are supported");
    CHECK_FALSE(error.hint().empty());
    CHECK((error.message() + error.hint()).find("hunter2") == std::string::npos);
  }
}

TEST_CASE("exec plugins: what is missing is said; a path counts from the file; a token makes it needless") {
  const Folder folder;
  const auto load = [&](const std::string& user) { return load_connection(from(folder.write("config", config(k_server, user)))); };
  const std::string v1 = "apiVersion: client.authentication.k8s.io/v1, ";
  CHECK(error_of(load("exec: {}")).message().find("exec: command is missing") != std::string::npos);
  CHECK(error_of(load("exec: {command: a}")).message().find("exec: apiVersion is missing") != std::string::npos);
  CHECK(error_of(load("exec: {command: a, apiVersion: client.authentication.k8s.io/v1alpha1}")).message().find("is not known") !=
        std::string::npos);
  CHECK(error_of(load("exec: {" + v1 + "command: a}")).message().find("interactiveMode is missing") != std::string::npos);
  CHECK(error_of(load("exec: {" + v1 + "command: a, interactiveMode: Sometimes}")).message().find("Sometimes") != std::string::npos);
  const Result<Connection> path =
      load("exec: {" + v1 + "command: ./bin/a, interactiveMode: Never, args: [x], env: [{name: NAME, value: v}]}");
  REQUIRE(path.ok());
  CHECK(path->exec->command == folder.path("./bin/a"));
  CHECK(path->exec->args == std::vector<std::string>{"x"});
  CHECK(load("exec: {" + v1 + "command: a, interactiveMode: Never}")->exec->command == "a");
  CHECK_FALSE(load("token: t\nexec: {" + v1 + "command: a, interactiveMode: Never}")->exec.has_value());
}

TEST_CASE("impersonation: of the entry, and flags over it; never without a user") {
  const Folder folder;
  KubeconfigSource source =
      from(folder.write("config", config(k_server, "token: t\nas: ann\nas-uid: '7'\nas-groups: [g, h]\nas-user-extra: {k: [v, w]}")));
  CHECK(load_connection(source)->as.user == "ann");
  CHECK(load_connection(source)->as.groups == std::vector<std::string>{"g", "h"});
  CHECK(load_connection(source)->as.extra.at(0).second == std::vector<std::string>{"v", "w"});
  source.as.user = "bob";
  source.as.groups = {"x"};
  CHECK(load_connection(source)->as.user == "bob");
  CHECK(load_connection(source)->as.uid == "7");
  CHECK(load_connection(source)->as.groups == std::vector<std::string>{"x"});
  CHECK_FALSE(load_connection(from(folder.write("config", config(k_server, "as-groups: [g]")))).ok());
}

TEST_CASE("flags win over the file, and do without one") {
  const Folder folder;
  KubeconfigSource source = from(folder.write(
      "config", config(k_server + "\ntls-server-name: old\ncertificate-authority-data: " + vmbackup::base::base64_encode(k_ca))));
  source.server = "https://other:1";
  source.token = Secret("mine");
  CHECK(load_connection(source)->server == "https://other:1");
  CHECK(load_connection(source)->token.reveal() == "mine");
  CHECK(load_connection(source)->tls_server_name.empty());
  source.insecure_skip_tls_verify = true;
  CHECK(load_connection(source)->ca_pem.empty());
  CHECK(load_connection(source)->insecure_skip_tls_verify);
  source.cluster = "none";
  CHECK(error_of(load_connection(source)).code() == ErrorCode::not_found);
  KubeconfigSource bare;
  bare.server = "https://other:1";
  bare.token = Secret("mine");
  CHECK(load_connection(bare)->token.reveal() == "mine");
  bare.user = "u";
  CHECK_FALSE(load_connection(bare).ok());
}

TEST_CASE("in a pod: the service account counts where there is no kubeconfig") {
  const Folder folder;
  folder.write("sa/token", "pod-token\n");
  folder.write("sa/ca.crt", k_ca);
  folder.write("sa/namespace", "apps\n");
  KubeconfigSource source;
  source.service_account = folder.path("sa");
  CHECK_FALSE(load_connection(source).ok());
  source.variables = {"KUBERNETES_SERVICE_HOST=fd00::1", "KUBERNETES_SERVICE_PORT=443"};
  const Result<Connection> connection = load_connection(source);
  REQUIRE(connection.ok());
  CHECK(connection->server == "https://[fd00::1]:443");
  CHECK(connection->token.reveal() == "pod-token");
  CHECK(connection->token_file == folder.path("sa/token"));
  CHECK(connection->ca_pem == k_ca);
  CHECK(connection->ns == "apps");
  source.home = fs::path(folder.write(".kube/config", config(k_server))).parent_path().parent_path().string();
  CHECK(load_connection(source)->server == "https://example.org:6443");
}

TEST_CASE("files that are no kubeconfig") {
  const Folder folder;
  struct Row {
    std::string content;
    std::string message;
  };
  const Row rows[] = {
      {"", ": it is empty"},
      {"\n# nothing\n", ": it is empty"},
      {"a: 1\nb: [\n", ": invalid YAML at line 3: "},
      {"a: 1\n\tb: 1\n", ": invalid YAML at line 2: a tab is used as indentation"},
      {"a: 1\na: 2\n", ": invalid YAML at line 2: the key \"a\" is repeated"},
      {"just text", ": expected object, found string"},
      {"- a\n", ": expected object, found array"},
      {"kind: Pod\n", ": it holds a Pod, not a kubeconfig (kind: Config)"},
      {"current-context: 7\n", ": current-context: expected string, found integer"},
      {"contexts: {}\n", ": contexts: expected array, found object"},
      {"contexts: [7]\n", ": contexts[0]: expected object, found integer"},
      {"contexts: [{context: {}}]\n", ": contexts[0].name: missing"},
      {"clusters: [{name: 7}]\n", ": clusters[0].name: expected string, found integer"},
      {"users: [{name: a}, {name: b}, {name: a}]\n", ": users: the name \"a\" is repeated"},
      {"\xff\xfe", ": invalid YAML at line 1: not UTF-8"},
      {std::string((16 << 20) + 1, '#'), ""},
  };
  for (const Row& row : rows) {
    const std::string file = folder.write("config", row.content);
    const Error error = error_of(load_connection(from(file)));
    CHECK(error.code() == ErrorCode::invalid);
    const std::string expected =
        row.message.empty() ? "cannot read kubeconfig " + file + ": it is larger than 16 MiB" : "kubeconfig " + file + row.message;
    CHECK(error.message().substr(0, expected.size()) == expected);
    CHECK_FALSE(kubeconfig_names(from(file)).ok());
  }
}

TEST_CASE("files that cannot be read") {
  const Folder folder;
  const std::string missing = folder.path("none");
  Error error = error_of(load_connection(from(missing)));
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == "cannot read kubeconfig " + missing + ": no such file or directory");
  CHECK(error.hint().find("--kubeconfig") != std::string::npos);

  const std::string directory = fs::path(folder.path("x")).parent_path().string();
  error = error_of(load_connection(from(directory)));
  CHECK(error.code() == ErrorCode::invalid);
  CHECK(error.message() == "cannot read kubeconfig " + directory + ": it is a directory, not a file");

  const std::string loop = folder.path("loop");
  REQUIRE(::symlink("loop", loop.c_str()) == 0);
  CHECK(error_of(load_connection(from(loop))).message() == "cannot read kubeconfig " + loop + ": too many levels of symbolic links");

  if (::geteuid() != 0) {
    const std::string locked = folder.write("locked", config(k_server));
    REQUIRE(::chmod(locked.c_str(), 0) == 0);
    CHECK(error_of(load_connection(from(locked))).message() == "cannot read kubeconfig " + locked + ": permission denied");
  }
}

TEST_CASE("no configuration at all") {
  const Folder folder;
  KubeconfigSource source;
  Error error = error_of(load_connection(source));
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == "no kubeconfig: KUBECONFIG and HOME are not set");
  CHECK(error.hint() == "set KUBECONFIG, or give a file with --kubeconfig");

  source.home = folder.path("home");
  error = error_of(load_connection(source));
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == "no kubeconfig: " + folder.path("home") + "/.kube/config does not exist");

  source.kubeconfig_env = folder.path("a");
  CHECK(error_of(load_connection(source)).message() == "no kubeconfig: " + folder.path("a") + " does not exist");
  source.kubeconfig_env = folder.path("a") + ":" + folder.path("b");
  error = error_of(load_connection(source));
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == "no kubeconfig: none of the files in KUBECONFIG exists: " + folder.path("a") + ":" + folder.path("b"));
}

TEST_CASE("where the file comes from: --kubeconfig, KUBECONFIG, home") {
  const Folder folder;
  const auto named = [](const std::string& server) { return config("server: https://" + server); };
  KubeconfigSource source;
  source.home = fs::path(folder.write("home/.kube/config", named("home"))).parent_path().parent_path().string();
  CHECK(load_connection(source)->server == "https://home");
  source.kubeconfig_env = "::";
  CHECK(load_connection(source)->server == "https://home");
  source.kubeconfig_env = folder.write("env", named("env"));
  CHECK(load_connection(source)->server == "https://env");
  source.explicit_path = folder.write("explicit", named("explicit"));
  CHECK(load_connection(source)->server == "https://explicit");
  // One that was asked for by name must be there, whatever else is.
  source.explicit_path = folder.path("none");
  CHECK_FALSE(load_connection(source).ok());
}

TEST_CASE("several files merge: the first one that has an entry gives it whole, with its own folder") {
  const Folder folder;
  folder.write("b/ca.pem", k_ca);
  const std::string a =
      folder.write("a/config",
                   "contexts: [{name: one, context: {cluster: k, user: u}}, {name: two, context: {cluster: only-b, user: u}}]\n"
                   "clusters: [{name: k, cluster: {server: 'https://a'}}]\n");
  const std::string b =
      folder.write("b/config",
                   "current-context: one\n"
                   "contexts: [{name: one, context: {cluster: only-b, namespace: b}}, {name: three, context: {cluster: k}}]\n"
                   "clusters: [{name: k, cluster: {server: 'https://b', tls-server-name: b}},\n"
                   "           {name: only-b, cluster: {server: 'https://only-b', certificate-authority: ca.pem}}]\n"
                   "users: [{name: u, user: {token: from-b}}]\n");
  const std::string c = folder.write("c/config", "current-context: three\nusers: [{name: u, user: {token: from-c}}]\n");
  KubeconfigSource source;
  source.kubeconfig_env = folder.path("none") + ":" + a + "::" + b + ":" + a + ":" + c + ":" + folder.write("empty", "");
  const Result<Connection> one = load_connection(source);
  REQUIRE_MESSAGE(one.ok(), one.error().message());
  CHECK(one->context == "one");
  CHECK(one->server == "https://a");
  CHECK(one->tls_server_name.empty());
  CHECK(one->ns == "default");
  CHECK(one->token.reveal() == "from-b");
  source.context = "two";
  const Result<Connection> two = load_connection(source);
  REQUIRE_MESSAGE(two.ok(), two.error().message());
  CHECK(two->ca_pem == k_ca);
  const Result<KubeconfigNames> names = kubeconfig_names(source);
  REQUIRE(names.ok());
  CHECK(names->contexts == std::vector<std::string>{"one", "three", "two"});
  CHECK(names->users == std::vector<std::string>{"u"});
  CHECK(std::count(names->clusters.begin(), names->clusters.end(), "only-b") == 1);
  // One bad file spoils all, and is named.
  source.kubeconfig_env = a + ":" + folder.write("bad", "a: [") + ":" + b;
  CHECK(error_of(load_connection(source)).message().rfind("kubeconfig " + folder.path("bad") + ": invalid YAML", 0) == 0);
}

TEST_CASE("names that lead nowhere") {
  const Folder folder;
  const auto load = [&folder](const std::string& text, const std::string& context = "") {
    KubeconfigSource source = from(folder.write("config", text));
    source.context = context;
    return error_of(load_connection(source));
  };
  const std::string file = "kubeconfig " + folder.path("config") + ": ";
  const std::string contexts =
      "contexts: [{name: prod, context: {cluster: kube}}, {name: test, context: {cluster: kube, user: admin}}, {name: bare, context: "
      "{}}]\n";

  Error error = load(contexts, "prd");
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == file + "the context \"prd\" does not exist");
  CHECK(error.hint() == "did you mean \"prod\"?");
  error = load(contexts, "elsewhere");
  CHECK(error.hint() == "contexts in it: bare, prod, test");
  error = load("users: []\n", "prod");
  CHECK(error.hint() == "the kubeconfig holds no context at all");
  error = load(contexts + "current-context: prood\n");
  CHECK(error.message() == file + "the current-context \"prood\" does not exist");
  CHECK(error.hint() == "did you mean \"prod\"?");
  error = load(contexts);
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == file + "no current-context is set");
  CHECK(error.hint() == "choose one with --context or `kubectl config use-context`: bare, prod, test");
  error = load("users: []\n");
  CHECK(error.hint() == "it holds no context at all");

  error = load(contexts, "bare");
  CHECK(error.code() == ErrorCode::invalid);
  CHECK(error.message() == file + "context \"bare\": it names no cluster");
  error = load(contexts + "clusters: [{name: kub, cluster: {server: 'https://h'}}]\n", "prod");
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == file + "context \"prod\" names the cluster \"kube\", which does not exist");
  CHECK(error.hint() == "did you mean \"kub\"?");
  error = load(contexts + "clusters: [{name: kube, cluster: {server: 'https://h'}}]\n", "test");
  CHECK(error.code() == ErrorCode::not_found);
  CHECK(error.message() == file + "context \"test\" names the user \"admin\", which does not exist");
  CHECK(error.hint() == "the kubeconfig holds no user at all");
  error = load("contexts: [{name: prod, context: {cluster: [x]}}]\n", "prod");
  CHECK(error.message() == file + "context \"prod\": cluster: expected string, found array");
}

TEST_CASE("names and paths are untrusted text") {
  const Folder folder;
  const Error error = error_of(load_connection(from(folder.write("config", "current-context: \"a\\x1b[2J\"\n"))));
  CHECK(error.message().find("\"a\\x1b[2J\"") != std::string::npos);
  CHECK(error.message().find('\x1b') == std::string::npos);
  CHECK(error_of(load_connection(from(folder.path("no\x1b[2J")))).message().find('\x1b') == std::string::npos);
}
