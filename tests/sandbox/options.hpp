// The command line of vmbackup-sandbox.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "certificates.hpp"
#include "support/fake_cluster_options.hpp"

namespace vmbackup::test {
class FakeCluster;
}

namespace vmbackup::sandbox {

struct ServeOptions {
  std::string state;
  std::optional<int> parent;
  std::vector<std::string> load;
  bool demo = false;
  int scale = 0;
  std::optional<base::Duration> scale_snapshots;  // how long after the start they become ready
  bool demo_speed = false;
  bool http2 = true;
  std::string log;
  std::string events;
  ServerFault certificate = ServerFault::none;
  test::ClusterOptions cluster;
};

struct ClientOptions {
  std::string verb;
  std::string kubeconfig;
  std::string ns;
  bool all_namespaces = false;
  bool now = false;     // delete --now
  bool unused = false;  // fault --unused
  std::string output;
  base::Duration timeout = std::chrono::seconds(60);
  std::vector<std::string> words;  // what is left
};

// usage: the message says what is wrong.
base::Result<ServeOptions> parse_serve(const std::vector<std::string>& args);
base::Result<ClientOptions> parse_client(const std::vector<std::string>& args);

// 0 done, 1 failed (said on stderr), 2 usage.
int serve(const ServeOptions& options);
int act(const ClientOptions& options);

// The manifest of --demo.
const char* demo_manifest();

// What --scale and --scale-snapshots ask for. What the cluster refuses is thrown as std::runtime_error.
void load_scale(test::FakeCluster& cluster, const ServeOptions& options, base::Clock& clock);

}  // namespace vmbackup::sandbox
