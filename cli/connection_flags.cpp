// kubectl's connection flags, with kubectl's names and meanings.
#include <charconv>

#include "cli/flags.hpp"

namespace vmbackup::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

Flag connection_flag(const std::string& name, const std::string& metavar, const std::string& help, std::string& target) {
  return Flag{.name = name, .metavar = metavar, .help = help, .group = FlagGroup::connection, .empty_ok = true, .set = text_into(target)};
}

Flag connection_switch(const std::string& name, const std::string& help, bool& target) {
  return Flag{.name = name, .help = help, .group = FlagGroup::connection, .set = switch_into(target)};
}

// As kubectl reads it: a duration, or whole seconds; zero for none. [cli-runtime, client-go/tools/clientcmd/config.go: ParseTimeout]
SetText request_timeout_into(base::Duration& target) {
  return [&target](const std::string& text) -> Result<void> {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc() && end == text.data() + text.size() && seconds >= 0 && seconds <= 86'400 * 365) {
      target = std::chrono::seconds(seconds);
      return {};
    }
    const Result<base::Duration> parsed = base::parse_duration(text);
    if (!parsed || *parsed < base::Duration::zero()) {
      return Error(ErrorCode::usage, "not a duration", "write whole seconds, or a number with a unit: 30s, 2m; 0 for no limit");
    }
    target = *parsed;
    return {};
  };
}

}  // namespace

void bind_connection(Flags& flags, CommonOptions& target) {
  ConnectionOptions& to = target.connection;
  Flag cluster = connection_flag("cluster", "NAME", "cluster of the kubeconfig to use, in place of the context's", to.cluster);
  cluster.names = Names::cluster;
  flags.add(std::move(cluster));
  Flag user = connection_flag("user", "NAME", "user of the kubeconfig to be, in place of the context's", to.user);
  user.names = Names::user;
  flags.add(std::move(user));
  Flag server = connection_flag("server", "URL", "address of the API server", to.server);
  server.letter = 's';
  flags.add(std::move(server));
  flags.add(connection_flag("token", "TOKEN", "bearer token; others on this machine can read a command line", to.token));
  flags.add(connection_flag("as", "NAME", "user to act as (impersonation)", to.as));
  flags.add(Flag{.name = "as-group",
                 .metavar = "NAME",
                 .help = "group to act as; may be given more than once",
                 .group = FlagGroup::connection,
                 .repeats = true,
                 .set = [&to](const std::string& text) -> Result<void> {
                   to.as_groups.push_back(text);
                   return {};
                 }});
  flags.add(connection_flag("as-uid", "UID", "uid to act as", to.as_uid));
  flags.add(connection_flag("certificate-authority", "FILE", "certificate of the authority that has signed the server's",
                            to.certificate_authority));
  flags.add(connection_flag("client-certificate", "FILE", "client certificate", to.client_certificate));
  flags.add(connection_flag("client-key", "FILE", "key of the client certificate", to.client_key));
  flags.add(connection_flag("tls-server-name", "NAME", "name that the server's certificate has to be for", to.tls_server_name));
  flags.add(connection_switch("insecure-skip-tls-verify", "do not check the server's certificate: anyone can pose as it",
                              to.insecure_skip_tls_verify));
  flags.add(Flag{.name = "request-timeout",
                 .metavar = "DURATION",
                 .help = "the longest that a single request may take; 0: no limit",
                 .fallback = "0",
                 .group = FlagGroup::connection,
                 .set = request_timeout_into(to.request_timeout)});
  flags.add(connection_switch("disable-compression", "ask for answers that are not compressed", to.disable_compression));
}

}  // namespace vmbackup::cli
