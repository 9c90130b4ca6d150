#include "kube/credentials.hpp"

#include <algorithm>
#include <cctype>

#include "kube/kubeconfig_entry.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Duration k_read_again = std::chrono::minutes(1);

// Lower case, and everything that no header name can hold as %xx. [client-go/transport/round_trippers.go: headerKeyEscape]
std::string escape_key(const std::string& key) {
  constexpr const char* k_hex = "0123456789ABCDEF";
  std::string out;
  for (const char c : key) {
    const unsigned char byte = static_cast<unsigned char>(c);
    const bool plain = byte < 128 && (std::isalnum(byte) != 0 || std::string("!#$&'*+-.^_`|~").find(c) != std::string::npos);
    if (plain) {
      out += static_cast<char>(std::tolower(byte));
    } else {
      out += '%';
      out += k_hex[byte >> 4];
      out += k_hex[byte & 15];
    }
  }
  return out;
}

// The shorter one, in tenths of a second, for people to read.
base::Duration within(base::Duration limit, base::Duration remaining) {
  using Tenths = std::chrono::duration<std::int64_t, std::deci>;
  return std::chrono::ceil<Tenths>(std::min(limit, remaining));
}

class SignedTransport final : public Transport {
 public:
  SignedTransport(const Connection& connection, ExecSurroundings surroundings, MakeTransport make, base::Clock& clock)
      : connection_(connection), make_(std::move(make)), clock_(clock), credentials_(connection, std::move(surroundings), clock) {}

  // The first transport, so that a bad certificate is told before anything is sent. A plugin's comes with its first answer.
  Result<void> prepare() {
    Result<std::unique_ptr<Transport>> made = make_(connection_);
    if (!made) return made.error();
    certificate_ = connection_.certificate_pem;
    transports_.push_back(std::move(made).value());
    return {};
  }

  Result<HttpResponse> send(const HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) override {
    return ask<HttpResponse>(&Transport::send, request, deadline, stop);
  }

  Result<Upgrade> upgrade(const HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) override {
    return ask<Upgrade>(&Transport::upgrade, request, deadline, stop);
  }

  StreamHandle stream(const HttpRequest& request, StreamSink sink) override {
    const Result<Signature> signature = credentials_.current(base::Deadline::never(), {});
    if (!signature) {
      sink.end(signature.error());
      return {};
    }
    const Result<Transport*> transport = transport_for(*signature);
    if (!transport) {
      sink.end(transport.error());
      return {};
    }
    StreamSink own;
    own.data = std::move(sink.data);
    own.end = [this, end = std::move(sink.end), generation = signature->generation](Result<HttpResponse> answer) {
      if (answer && answer->status == 401 && credentials_.refused(generation)) {
        end(Error(ErrorCode::unavailable, "the credentials have aged and are renewed"));
        return;
      }
      end(std::move(answer));
    };
    return (*transport)->stream(signed_request(request, *signature), std::move(own));
  }

 private:
  static int status_of(const HttpResponse& answer) { return answer.status; }
  static int status_of(const Upgrade& answer) { return answer.response.status; }

  // Once more with renewed credentials after a 401.
  template <typename Answer>
  Result<Answer> ask(Result<Answer> (Transport::*how)(const HttpRequest&, const base::Deadline&, std::stop_token),
                     const HttpRequest& request, const base::Deadline& deadline, const std::stop_token& stop) {
    const base::Deadline limit = connection_.request_timeout > base::Duration::zero()
                                     ? deadline.sooner(base::Deadline::after(clock_, connection_.request_timeout))
                                     : deadline;
    for (bool again = false;; again = true) {
      const Result<Signature> signature = credentials_.current(deadline, stop);
      if (!signature) return signature.error();
      const Result<Transport*> transport = transport_for(*signature);
      if (!transport) return transport.error();
      Result<Answer> answer = ((*transport)->*how)(signed_request(request, *signature), limit, stop);
      // A later certificate of the plugin that cannot be used comes when something has been sent.
      if (!answer && answer.error().code() == ErrorCode::usage && signature->generation > 1) {
        return answer.error().with_code(ErrorCode::unauthenticated);
      }
      const bool refused = answer && status_of(*answer) == 401;
      if (!refused || !credentials_.refused(signature->generation) || again) return answer;
    }
  }

  HttpRequest signed_request(HttpRequest request, const Signature& signature) const {
    if (!signature.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + signature.token.reveal());
    for (auto& header : impersonation_headers(connection_.as)) request.headers.push_back(std::move(header));
    return request;
  }

  Result<Transport*> transport_for(const Signature& signature) {
    const std::lock_guard lock(mutex_);
    if (signature.certificate_pem != certificate_) {
      Connection connection = connection_;
      connection.certificate_pem = signature.certificate_pem;
      connection.key_pem = signature.key_pem;
      Result<std::unique_ptr<Transport>> made = make_(connection);
      if (!made) return made.error();
      certificate_ = signature.certificate_pem;
      // The ones before stay: streams may run on them.
      transports_.push_back(std::move(made).value());
    }
    return transports_.back().get();
  }

  const Connection connection_;
  const MakeTransport make_;
  base::Clock& clock_;
  Credentials credentials_;
  std::mutex mutex_;
  std::string certificate_;
  std::vector<std::unique_ptr<Transport>> transports_;  // last: their streams end before what those use
};

}  // namespace

Credentials::Credentials(Connection connection, ExecSurroundings surroundings, base::Clock& clock)
    : connection_(std::move(connection)), surroundings_(std::move(surroundings)), clock_(clock), read_(clock.now()) {
  signature_ = {0, connection_.token, connection_.certificate_pem, connection_.key_pem};
}

Result<Signature> Credentials::current(const base::Deadline& deadline, const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  if (connection_.exec) {
    const bool expired = expires_ && clock_.wall_now() >= *expires_;
    if (signature_.generation != 0 && !stale_ && !expired) return signature_;
    ExecSurroundings surroundings = surroundings_;
    surroundings.limit = within(surroundings.limit, deadline.remaining(clock_));
    surroundings.interactive_limit = within(surroundings.interactive_limit, deadline.remaining(clock_));
    Result<ExecCredential> fresh = run_exec_plugin(connection_, surroundings, stop);
    if (!fresh) {
      // Before the first run nothing has been sent.
      const bool first = signature_.generation == 0 && fresh.error().code() == ErrorCode::unauthenticated;
      return first ? fresh.error().with_code(ErrorCode::usage) : fresh.error();
    }
    signature_ = {signature_.generation + 1, fresh->token, fresh->certificate_pem, fresh->key_pem};
    expires_ = fresh->expires;
    stale_ = false;
  } else if (!connection_.token_file.empty() && (stale_ || clock_.now() - read_ >= k_read_again)) {
    read_ = clock_.now();
    stale_ = false;
    const Result<Secret> token = read_token(connection_.token_file);
    if (token && !(*token == signature_.token))
      signature_ = {signature_.generation + 1, *token, signature_.certificate_pem, signature_.key_pem};
  }
  return signature_;
}

bool Credentials::refused(std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  // Somebody has renewed it meanwhile.
  if (generation != signature_.generation) return true;
  // At most once a minute, as the file is not written more often than that.
  const bool file = !connection_.token_file.empty() && clock_.now() - read_ >= k_read_again;
  if (!connection_.exec && !file) return false;
  stale_ = true;
  return true;
}

std::vector<std::pair<std::string, std::string>> impersonation_headers(const Impersonation& as) {
  std::vector<std::pair<std::string, std::string>> headers;
  if (as.user.empty()) return headers;
  headers.emplace_back("Impersonate-User", as.user);
  if (!as.uid.empty()) headers.emplace_back("Impersonate-Uid", as.uid);
  for (const std::string& group : as.groups) headers.emplace_back("Impersonate-Group", group);
  for (const auto& [key, values] : as.extra) {
    for (const std::string& value : values) headers.emplace_back("Impersonate-Extra-" + escape_key(key), value);
  }
  return headers;
}

Result<std::unique_ptr<Transport>> make_signed_transport(const Connection& connection, ExecSurroundings surroundings, MakeTransport make,
                                                         base::Clock& clock) {
  std::unique_ptr<SignedTransport> transport =
      std::make_unique<SignedTransport>(connection, std::move(surroundings), std::move(make), clock);
  if (const Result<void> ready = transport->prepare(); !ready) return ready.error();
  return std::unique_ptr<Transport>(std::move(transport));
}

}  // namespace vmbackup::kube
