#include "cli/context.hpp"

#include <utility>

#include "backup/run_id.hpp"
#include "kube/credentials.hpp"
#include "kube/curl_transport.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/rest_client.hpp"

namespace vmbackup::cli {
namespace {

// A plugin that is slower is ended: the completion does not wait for it.
constexpr base::Duration k_plugin_in_completion = std::chrono::milliseconds(150);

}  // namespace

kube::KubeconfigSource source_of(const CommonOptions& options, const Environment& environment) {
  const ConnectionOptions& flags = options.connection;
  kube::KubeconfigSource source;
  source.explicit_path = options.kubeconfig;
  source.kubeconfig_env = environment.kubeconfig;
  source.home = environment.home;
  source.context = options.context;
  source.ns = options.ns;
  source.cluster = flags.cluster;
  source.user = flags.user;
  source.server = flags.server;
  source.token = kube::Secret(flags.token);
  source.as = {flags.as, flags.as_uid, flags.as_groups, {}};
  source.certificate_authority = flags.certificate_authority;
  source.client_certificate = flags.client_certificate;
  source.client_key = flags.client_key;
  source.tls_server_name = flags.tls_server_name;
  if (flags.insecure_skip_tls_verify) source.insecure_skip_tls_verify = true;
  if (flags.disable_compression) source.disable_compression = true;
  source.request_timeout = flags.request_timeout;
  source.variables = environment.variables;
  return source;
}

namespace {

// What a file or a flag holds wrong is told before anything is sent, and ends like other wrong usage.
base::Error before_sending(const base::Error& error) {
  const bool of_files = error.code() == base::ErrorCode::invalid || error.code() == base::ErrorCode::not_found;
  return of_files ? error.with_code(base::ErrorCode::usage) : error;
}

}  // namespace

base::Result<Connected> connect_by_kubeconfig(const CommonOptions& options, const Environment& environment, base::Clock& clock,
                                              RequestLog log) {
  base::Result<kube::Connection> connection = kube::load_connection(source_of(options, environment));
  if (!connection) return before_sending(connection.error());
  if (options.completing && connection->exec && connection->exec->interactive != kube::ExecPlugin::Interactive::never) {
    return base::Error(base::ErrorCode::unauthenticated, connection->exec->what + ": it may ask a person, which a completion must not");
  }
  kube::TransportOptions transport_options;
  transport_options.user_agent = std::string("kubectl-vmbackup/") + backup::tool_version();
  const kube::MakeTransport make = [transport_options, &clock](const kube::Connection& to) {
    return kube::make_curl_transport(to, transport_options, clock);
  };
  kube::ExecSurroundings surroundings;
  surroundings.environment = environment.variables;
  surroundings.terminal = environment.input_terminal && !options.completing;
  if (options.completing) surroundings.limit = k_plugin_in_completion;
  base::Result<std::unique_ptr<kube::Transport>> transport = kube::make_signed_transport(*connection, std::move(surroundings), make, clock);
  if (!transport) return before_sending(transport.error());
  return Connected{kube::make_rest_client(std::move(*transport), clock, std::move(log)), connection->ns, connection->context};
}

std::vector<std::string> kubeconfig_names(const CommonOptions& options, const Environment& environment, Names kind) {
  const base::Result<kube::KubeconfigNames> names = kube::kubeconfig_names(source_of(options, environment));
  if (!names) return {};
  if (kind == Names::context) return names->contexts;
  return kind == Names::cluster ? names->clusters : names->users;
}

std::vector<std::pair<std::string, std::string>> connection_libraries() { return kube::transport_libraries(); }

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

base::Result<Connected> Context::connect(const CommonOptions& options) const {
  return world_.connect(options, world_.environment, world_.clock, {});
}

std::vector<std::string> Context::kubeconfig_names(const CommonOptions& options, Names kind) const {
  return cli::kubeconfig_names(options, world_.environment, kind);
}

bool Context::can_ask() const { return world_.streams.in.terminal() && world_.streams.err.terminal(); }

ExitCode Context::fail(const base::Error& error) {
  const ExitCode code = exit_code_of(error, signal());
  console_.error(error, static_cast<int>(code));
  return code;
}

}  // namespace vmbackup::cli
