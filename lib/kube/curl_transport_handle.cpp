#include "kube/curl_transport_handle.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <system_error>

#include "base/text.hpp"
#include "kube/tls_trust.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;

extern "C" {

// Sent bytes that nobody acknowledges end the connection after this time; the keepalive below covers the quiet ones.
static int vmbackup_on_socket(void* milliseconds, curl_socket_t socket, curlsocktype) {
  const unsigned limit = *static_cast<const unsigned*>(milliseconds);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
  return CURL_SOCKOPT_OK;
}

}  // extern "C"

void set_trust(CurlHandle& handle, const CurlSettings& settings) {
  const Connection& connection = settings.connection;
  handle.set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // The library's built-in paths would be trusted besides ours.
  handle.set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  handle.set(CURLOPT_PROXY_CAPATH, static_cast<const char*>(nullptr));
  if (connection.insecure_skip_tls_verify) {
    for (const CURLoption option :
         {CURLOPT_SSL_VERIFYPEER, CURLOPT_SSL_VERIFYHOST, CURLOPT_PROXY_SSL_VERIFYPEER, CURLOPT_PROXY_SSL_VERIFYHOST}) {
      handle.set(option, 0L);
    }
  } else if (!connection.ca_pem.empty()) {
    handle.set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
    handle.set(CURLOPT_PROXY_CAINFO, static_cast<const char*>(nullptr));
    handle.set_blob(CURLOPT_CAINFO_BLOB, connection.ca_pem);
    handle.set_blob(CURLOPT_PROXY_CAINFO_BLOB, connection.ca_pem);
  } else {
    const auto or_null = [](const std::string& path) { return path.empty() ? nullptr : path.c_str(); };
    handle.set(CURLOPT_CAINFO, or_null(settings.bundle));
    handle.set(CURLOPT_PROXY_CAINFO, or_null(settings.bundle));
    handle.set(CURLOPT_CAPATH, or_null(connection.bundle_folder));
    handle.set(CURLOPT_PROXY_CAPATH, or_null(connection.bundle_folder));
  }
  if (!connection.certificate_pem.empty()) handle.set_blob(CURLOPT_SSLCERT_BLOB, connection.certificate_pem);
  if (!connection.key_pem.empty()) handle.set_blob(CURLOPT_SSLKEY_BLOB, connection.key_pem.reveal());
}

Error unavailable(const std::string& message) { return Error(ErrorCode::unavailable, message); }

}  // namespace

void set_connection(CurlHandle& handle, const CurlSettings& settings) {
  handle.set(CURLOPT_NOSIGNAL, 1L);
  handle.set(CURLOPT_PROTOCOLS_STR, "http,https");
  handle.set(CURLOPT_FOLLOWLOCATION, 0L);
  handle.set(CURLOPT_PATH_AS_IS, 1L);
  handle.set(CURLOPT_HTTP_VERSION, static_cast<long>(settings.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  handle.set(CURLOPT_CONNECTTIMEOUT_MS, curl_milliseconds(settings.options.connect_timeout));
  handle.set(CURLOPT_TCP_KEEPALIVE, 1L);
  handle.set(CURLOPT_TCP_KEEPIDLE, std::max(1L, curl_milliseconds(settings.options.idle_keepalive) / 1000));
  handle.set(CURLOPT_TCP_KEEPINTVL, std::max(1L, curl_milliseconds(settings.options.idle_keepalive) / 3000));
  handle.set(CURLOPT_SOCKOPTFUNCTION, vmbackup_on_socket);
  handle.set(CURLOPT_SOCKOPTDATA, const_cast<unsigned*>(&settings.user_timeout));
  handle.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (!settings.options.user_agent.empty()) handle.set(CURLOPT_USERAGENT, settings.options.user_agent.c_str());
  // Always set: otherwise curl would read the environment, in its own way.
  handle.set(CURLOPT_PROXY, settings.address.proxy.c_str());
  handle.set(CURLOPT_NOPROXY, "");
  if (!settings.address.connect_to.empty()) {
    handle.connect_to.reset(curl_slist_append(nullptr, settings.address.connect_to.c_str()));
    handle.set(CURLOPT_CONNECT_TO, handle.connect_to.get());
  }
  set_trust(handle, settings);
  handle.set(CURLOPT_ERRORBUFFER, handle.words.data());
}

namespace {

// Of the server, or of a proxy that is spoken to over TLS itself.
TlsFailure tls_failure(const CurlHandle& handle, const CurlSettings& settings, const std::string& words) {
  TlsFailure failure{0, words, settings.address.label, settings.address.tls_name};
  long of_proxy = 0;
  curl_easy_getinfo(handle.easy.get(), CURLINFO_SSL_VERIFYRESULT, &failure.verify_result);
  curl_easy_getinfo(handle.easy.get(), CURLINFO_PROXY_SSL_VERIFYRESULT, &of_proxy);
  const std::string& host = settings.address.proxy_host;
  const bool names_proxy = settings.address.proxy.rfind("https://", 0) == 0 && words.find("'" + host + "'") != std::string::npos;
  if ((failure.verify_result == 0 && of_proxy != 0) || (names_proxy && host != settings.address.tls_name)) {
    failure = {of_proxy, words, settings.address.proxy_label, host, "proxy"};
  }
  return failure;
}

}  // namespace

Error describe(CURLcode code, const CurlHandle& handle, const CurlSettings& settings) {
  const std::string& server = settings.address.label;
  const std::string words = handle.words[0] != 0 ? handle.words.data() : curl_easy_strerror(code);
  if (code == CURLE_PEER_FAILED_VERIFICATION || speaks_of_tls(words)) {
    return describe_tls_failure(tls_failure(handle, settings, words));
  }
  long os_error = 0;
  curl_easy_getinfo(handle.easy.get(), CURLINFO_OS_ERRNO, &os_error);
  const std::string why = os_error != 0 ? std::system_category().message(static_cast<int>(os_error)) : base::printable(words, 300);
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return unavailable("cannot find the address of the server " + server + ": " + base::printable(words, 300));
    case CURLE_COULDNT_RESOLVE_PROXY:
      return unavailable("cannot find the address of the proxy for " + server + ": " + base::printable(words, 300));
    case CURLE_COULDNT_CONNECT:
      if (!settings.address.proxy.empty()) {
        return unavailable("cannot connect to the proxy " + base::printable(settings.address.proxy_label, 300) + " for the server " +
                           server + ": " + why);
      }
      return unavailable("cannot connect to the server " + server + ": " + why);
    case CURLE_PROXY:
      return unavailable("the proxy does not lead to " + server + ": " + base::printable(words, 300));
    case CURLE_OPERATION_TIMEDOUT:
      return unavailable("cannot connect to the server " + server + ": no connection within " +
                         base::format_duration(settings.options.connect_timeout));
    case CURLE_SSL_CONNECT_ERROR:
      return unavailable("the connection to " + server + " broke off while it was being secured: " + base::printable(words, 300));
    case CURLE_SSL_CERTPROBLEM:
      return Error(ErrorCode::usage, "the client certificate and its key cannot be used together: " + base::printable(words, 300));
    case CURLE_SSL_CACERT_BADFILE:
      return Error(ErrorCode::usage, "the certificate authority for " + server + " cannot be used: " + base::printable(words, 300));
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return Error(ErrorCode::invalid, server + " does not speak HTTP: " + base::printable(words, 300));
    case CURLE_BAD_CONTENT_ENCODING:
      return Error(ErrorCode::invalid, "the answer of " + server + " cannot be unpacked: " + base::printable(words, 300));
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
      return Error(ErrorCode::internal, "cannot make a request: " + base::printable(words, 300));
    default:
      return unavailable("the connection to " + server + " was lost: " + base::printable(words, 300));
  }
}

long curl_milliseconds(base::Duration duration) {
  return static_cast<long>(
      std::clamp<std::int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(), 1, 86'400'000));
}

}  // namespace vmbackup::kube
