#include "cli/context.hpp"

#include <utility>

#include "backup/run_id.hpp"
#include "kube/curl_transport.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/rest_client.hpp"

namespace vmbackup::cli {

base::Result<Connected> connect_by_kubeconfig(const CommonOptions& options, const Environment& environment, base::Clock& clock,
                                              RequestLog log) {
  kube::KubeconfigSource source;
  source.explicit_path = options.kubeconfig;
  source.kubeconfig_env = environment.kubeconfig;
  source.home = environment.home;
  source.context = options.context;
  source.ns = options.ns;
  const base::Result<kube::Connection> connection = kube::load_connection(source);
  if (!connection) return connection.error();
  kube::TransportOptions transport_options;
  transport_options.user_agent = std::string("kubectl-vmbackup/") + backup::tool_version();
  base::Result<std::unique_ptr<kube::Transport>> transport = kube::make_curl_transport(*connection, transport_options, clock);
  if (!transport) return transport.error();
  return Connected{kube::make_rest_client(std::move(*transport), *connection, clock, std::move(log)), connection->ns, connection->context};
}

Context::Context(World& world, Console& console, const CommonOptions& options, const std::vector<Command>& commands, std::string program)
    : world_(world), console_(console), options_(options), commands_(commands), program_(std::move(program)) {}

const base::Result<Connected>& Context::cluster() {
  if (!cluster_) {
    RequestLog log;
    if (options_.verbosity > 0) {
      log = [this](const std::string& line) { console_.request(line); };
    }
    cluster_ = world_.connect(options_, world_.environment, world_.clock, std::move(log));
  }
  return *cluster_;
}

bool Context::can_ask() const { return world_.streams.in.terminal() && world_.streams.err.terminal(); }

ExitCode Context::fail(const base::Error& error) {
  const ExitCode code = exit_code_of(error, signal());
  console_.error(error, static_cast<int>(code));
  return code;
}

}  // namespace vmbackup::cli
