// What can be said about certificates without a TLS library: finding the system's bundle, looking over PEM text, and putting a failed
// handshake in words. Private to the transport.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "kube/kubeconfig.hpp"

namespace vmbackup::kube {

// The path of the bundle of authorities: the connection's bundle_file, or where Debian, Fedora, SUSE, Alpine and the BSDs keep it; empty
// where the connection's bundle_folder is all there is. not_found: none is there. invalid: bundle_file cannot be read.
base::Result<std::string> find_bundle(const Connection& connection);

// invalid: authority, client certificate or key are not PEM of the right sort, or one of certificate and key is missing.
base::Result<void> check_pem(const Connection& connection);

// A failed TLS handshake.
struct TlsFailure {
  long verify_result = 0;      // X509_V_ERR_... of OpenSSL's x509_vfy.h, 0 when the chain was good or was not looked at
  std::string text;            // the library's words
  std::string server;          // "https://10.0.0.1:6443"
  std::string name;            // the name that the certificate has to be for
  std::string who = "server";  // or "proxy": then `server` and `name` are its
};

// code unauthenticated; the message says which of name, trust and expiry failed, for which server, or that the server refused our
// certificate.
base::Error describe_tls_failure(const TlsFailure& failure);

// True when the library's words are about a TLS alert or a failed handshake, not about a lost connection.
bool speaks_of_tls(std::string_view text);

}  // namespace vmbackup::kube
