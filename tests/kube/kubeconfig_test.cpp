#include "kubeconfig_texts.hpp"

#include <type_traits>

using vmbackup::base::Error;
using vmbackup::base::ErrorCode;
using vmbackup::base::Result;
using vmbackup::kube::Connection;
using vmbackup::kube::KubeconfigSource;
using vmbackup::kube::load_connection;
using vmbackup::kube::Secret;
using vmbackup::test::config;
using vmbackup::test::error_of;
using vmbackup::test::Folder;
using vmbackup::test::from;
using vmbackup::test::k_ca;
using vmbackup::test::k_cert;
using vmbackup::test::k_key;
using vmbackup::test::k_server;
using vmbackup::test::without;

namespace fs = std::filesystem;

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
      {"server: h:6443\ninsecure-skip-tls-verify: true", "http://h:6443"},
      {"server: h:6443\ncertificate-authority-data: " + vmbackup::base::base64_encode(k_ca), "http://h:6443"},
      {"server: h:6443/", "http://h:6443"},
      {"server: HTTPS://h", "https://h"},
      {"server: ftp://h", ""},
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
       "cluster \"k\": certificate-authority: cannot read DIR/: it is a directory, not a file"},
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
      {k_server + "\ncertificate-authority: ca.pem\ncertificate-authority-data: " + good_pem, "token: t",
       "cluster \"k\": certificate-authority and certificate-authority-data exclude each other"},
      {k_server, "client-certificate: c\nclient-certificate-data: " + good_pem,
       "user \"u\": client-certificate and client-certificate-data exclude each other"},
      {k_server, "client-certificate-data: " + good_pem + "\nclient-key: k\nclient-key-data: " + good_pem,
       "user \"u\": client-key and client-key-data exclude each other"},
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

TEST_CASE("a context may name what is missing where flags stand in for it") {
  const Folder folder;
  KubeconfigSource source = from(folder.write("config",
                                              "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
                                              "clusters: [{name: l, cluster: {server: 'https://l'}}]\n"));
  CHECK_FALSE(load_connection(source).ok());
  source.server = "https://flag";
  CHECK(error_of(load_connection(source)).message().find("names the user \"u\", which does not exist") != std::string::npos);
  source.token = Secret("flag");
  CHECK(load_connection(source)->server == "https://flag");
  CHECK(load_connection(source)->token.reveal() == "flag");
  source.user = "v";
  CHECK(error_of(load_connection(source)).message() == "--user names the user \"v\", which does not exist");
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
  source.variables.emplace_back("POD_NAMESPACE=variable");
  CHECK(load_connection(source)->ns == "variable");
  // The account's token is for the cluster around the pod alone.
  source.server = "https://elsewhere";
  CHECK(load_connection(source)->server == "https://elsewhere");
  CHECK(load_connection(source)->token.empty());
  CHECK(load_connection(source)->token_file.empty());
  source.server.clear();
  source.context = "c";
  CHECK_FALSE(load_connection(source).ok());
  source.context.clear();
  // A kubeconfig that says nothing is none; one that says something counts, but for the namespace that it leaves open.
  source.home = fs::path(folder.write(".kube/config", "")).parent_path().parent_path().string();
  CHECK(load_connection(source)->server == "https://[fd00::1]:443");
  folder.write(".kube/config", "clusters: null\ncontexts: null\ncurrent-context: ''\n");
  CHECK(load_connection(source)->server == "https://[fd00::1]:443");
  folder.write(".kube/config", config(k_server));
  CHECK(load_connection(source)->server == "https://example.org:6443");
  CHECK(load_connection(source)->ns == "variable");
  folder.write(".kube/config", config(k_server, "token: t", "namespace: default"));
  CHECK(load_connection(source)->ns == "default");
}

TEST_CASE("relative paths are cleaned as text, and a plugin beside the file stays a path") {
  const Folder folder;
  folder.write("ca.pem", k_ca);
  CHECK(load_connection(from(folder.write("config", config(k_server + "\ncertificate-authority: none/../ca.pem"))))->ca_pem == k_ca);
  const std::string exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}";
  const std::string file = fs::relative(folder.write("config", config(k_server, exec))).string();
  CHECK(load_connection(from(file))->exec->command == folder.path("plugin"));
}

TEST_CASE("proxies: schemes in any case; the environment's are checked, too") {
  const Folder folder;
  CHECK(load_connection(from(folder.write("config", config(k_server + "\nproxy-url: SOCKS5://p:1"))))->proxy_url == "socks5://p:1");
  CHECK_FALSE(load_connection(from(folder.write("config", config(k_server + "\nproxy-url: socks5h://p:1")))).ok());
  KubeconfigSource source = from(folder.write("config", config(k_server)));
  source.variables = {"HTTPS_PROXY=socks5h://p:1"};
  CHECK(load_connection(source)->proxy_url == "socks5h://p:1");
  CHECK(load_connection(source)->proxy_from_environment);
  source.variables = {"HTTPS_PROXY=socks4://user:hunter2@p:1"};
  CHECK(error_of(load_connection(source)).message() == "the environment's HTTPS_PROXY: expected http://, https:// or socks5:// and a host");
}
