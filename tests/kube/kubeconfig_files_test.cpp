#include "kubeconfig_texts.hpp"

#include <sys/stat.h>
#include <unistd.h>

using vmbackup::base::Error;
using vmbackup::base::ErrorCode;
using vmbackup::base::Result;
using vmbackup::kube::Connection;
using vmbackup::kube::kubeconfig_names;
using vmbackup::kube::KubeconfigNames;
using vmbackup::kube::KubeconfigSource;
using vmbackup::kube::load_connection;
using vmbackup::test::config;
using vmbackup::test::error_of;
using vmbackup::test::Folder;
using vmbackup::test::from;
using vmbackup::test::k_ca;
using vmbackup::test::k_server;

namespace fs = std::filesystem;

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
      {"apiVersion: v2\n", ": its apiVersion is v2; only v1 is known"},
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
  // Set, it is all that counts, even where it names nothing.
  source.kubeconfig_env = "::";
  CHECK(error_of(load_connection(source)).message() == "no kubeconfig: KUBECONFIG names no file: ::");
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
