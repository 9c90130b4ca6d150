#include "kubeconfig_texts.hpp"

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
using vmbackup::test::k_cert;
using vmbackup::test::k_key;
using vmbackup::test::k_server;
using vmbackup::test::without;

TEST_CASE("a token file wins over a token, also over that of the flag, which stands in where the file is missing") {
  const Folder folder;
  folder.write("token", "from-file");
  CHECK(load_connection(from(folder.write("b", config(k_server, "token: t\ntokenFile: token"))))->token.reveal() == "from-file");
  CHECK(load_connection(from(folder.write("c", config(k_server, "token: t\ntokenFile: none"))))->token.reveal() == "t");
  KubeconfigSource source = from(folder.path("b"));
  source.token = Secret("flag");
  CHECK(load_connection(source)->token.reveal() == "from-file");
  source.explicit_path = folder.path("c");
  CHECK(load_connection(source)->token.reveal() == "flag");
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

TEST_CASE("no credentials go to a server without TLS, but whom to act as") {
  const Folder folder;
  const Result<Connection> connection = load_connection(
      from(folder.write("config", config("server: http://127.0.0.1:8001",
                                         "token: t\nas: somebody\nclient-certificate-data: " + vmbackup::base::base64_encode(k_cert) +
                                             "\nclient-key-data: " + vmbackup::base::base64_encode(k_key)))));
  REQUIRE(connection.ok());
  CHECK(connection->token.empty());
  CHECK(connection->certificate_pem.empty());
  CHECK(connection->key_pem.empty());
  CHECK(connection->as.user == "somebody");
}

TEST_CASE("a key without a certificate is nothing") {
  const Folder folder;
  const std::string file = folder.write("config", config(k_server, "token: t\nclient-key-data: " + vmbackup::base::base64_encode(k_key)));
  REQUIRE(load_connection(from(file)).ok());
  CHECK(load_connection(from(file))->key_pem.empty());
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
  CHECK(path->exec->command == folder.path("bin/a"));
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
