#include "kube/tls_trust.hpp"

#include <algorithm>
#include <array>
#include <fstream>

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

constexpr std::array k_bundles = {
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",                   // older Fedora and RHEL
    "/etc/ssl/ca-bundle.pem",                             // SUSE
    "/etc/ssl/cert.pem",                                  // Alpine, the BSDs
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

base::Error invalid(std::string message) { return base::Error(base::ErrorCode::invalid, std::move(message)); }

base::Result<void> check_certificate(const std::string& pem, const std::string& what) {
  if (pem.empty()) return {};
  const bool is_certificate = contains(pem, "-----BEGIN CERTIFICATE-----") || contains(pem, "-----BEGIN TRUSTED CERTIFICATE-----");
  if (!is_certificate) return invalid(what + " is not a PEM certificate (no BEGIN CERTIFICATE line)");
  if (!contains(pem, "-----END ")) return invalid(what + " is cut off (no END CERTIFICATE line)");
  return {};
}

base::Result<void> check_key(const std::string& pem) {
  if (pem.empty()) return {};
  if (contains(pem, "BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, "Proc-Type: 4,ENCRYPTED")) {
    return invalid("the client key is encrypted with a passphrase, which kubeconfig cannot carry");
  }
  if (!contains(pem, "PRIVATE KEY-----")) return invalid("the client key is not a PEM private key (no BEGIN PRIVATE KEY line)");
  if (!contains(pem, "-----END ")) return invalid("the client key is cut off (no END PRIVATE KEY line)");
  return {};
}

// Where the authority that we trust has the right name and the wrong key, and no key identifiers tell them apart, OpenSSL checks the
// signature, and libcurl passes on what its cipher code says of it, with no verify result: "error:06880006:asn1 encoding routines::EVP
// lib", "error:0200008A:rsa routines::invalid padding". During a handshake the other side's certificate is all that is decoded or checked
// so.
bool speaks_of_signature(std::string_view text) {
  constexpr std::array k_libraries = {"asn1 encoding routines", "rsa routines", "elliptic curve routines", "x509 certificate routines"};
  return std::any_of(k_libraries.begin(), k_libraries.end(), [&](const char* library) { return contains(text, library); });
}

// Numbers: X509_V_ERR_* in OpenSSL's include/openssl/x509_vfy.h.
std::string reason_of(const TlsFailure& failure) {
  switch (failure.verify_result) {
    case 9:
      return "its certificate is not valid yet (check the clock of this machine)";
    case 10:
      return "its certificate has expired (or the clock of this machine is wrong)";
    case 18:
      return "its certificate is signed by itself, and by no authority that we trust";
    case 2:
    case 19:
    case 20:
    case 21:
      return "its certificate is not signed by an authority that we trust";
    case 62:
    case 64:
      return "its certificate is not for the name " + failure.name;
    default:
      break;
  }
  const std::string_view text = failure.text;
  if (speaks_of_signature(text)) {
    return "the signature of its certificate does not fit the authority that we trust (another one of the same name?)";
  }
  if (contains(text, "subject name") || contains(text, "subjectAltName") || contains(text, "host name")) {
    return "its certificate is not for the name " + failure.name;
  }
  return {};
}

// The alerts by which a server refuses a client's certificate (RFC 8446, section 6.2), in OpenSSL's words.
std::string refusal_of(std::string_view text) {
  if (contains(text, "alert certificate required")) return "it wants a client certificate, and we have none";
  if (contains(text, "alert certificate expired")) return "it refused our client certificate: it has expired";
  if (contains(text, "alert unknown ca")) return "it refused our client certificate: it does not trust who signed it";
  if (contains(text, "alert certificate revoked")) return "it refused our client certificate: it is revoked";
  if (contains(text, "alert bad certificate") || contains(text, "alert certificate unknown") ||
      contains(text, "alert unsupported certificate")) {
    return "it refused our client certificate";
  }
  return {};
}

}  // namespace

base::Result<std::string> find_bundle(const Connection& connection) {
  if (!connection.bundle_file.empty()) {
    if (std::ifstream(connection.bundle_file).good()) return connection.bundle_file;
    return invalid("cannot read " + base::printable(connection.bundle_file) + ", which the environment's SSL_CERT_FILE names");
  }
  for (const char* path : k_bundles) {
    if (std::ifstream(path).good()) return std::string(path);
  }
  if (!connection.bundle_folder.empty()) return std::string();
  return base::Error(base::ErrorCode::not_found,
                     "no certificate authority is configured for the cluster, and this system has no bundle of authorities",
                     "set certificate-authority in the kubeconfig, or install the package ca-certificates");
}

base::Result<void> check_pem(const Connection& connection) {
  if (auto checked = check_certificate(connection.ca_pem, "the certificate authority"); !checked) return checked;
  if (auto checked = check_certificate(connection.certificate_pem, "the client certificate"); !checked) return checked;
  if (auto checked = check_key(connection.key_pem.reveal()); !checked) return checked;
  if (connection.certificate_pem.empty() && !connection.key_pem.empty()) return invalid("there is a client key but no client certificate");
  if (!connection.certificate_pem.empty() && connection.key_pem.empty()) return invalid("there is a client certificate but no client key");
  return {};
}

bool speaks_of_tls(std::string_view text) {
  return contains(text, " alert ") || contains(text, "wrong version number") || contains(text, "unsupported protocol") ||
         contains(text, "certificate verify failed") || contains(text, "no protocols available") || speaks_of_signature(text);
}

base::Error describe_tls_failure(const TlsFailure& failure) {
  const std::string words = base::printable(failure.text, 300);
  if (const std::string reason = reason_of(failure); !reason.empty()) {
    return base::Error(base::ErrorCode::unauthenticated, "cannot trust the " + failure.who + " " + failure.server + ": " + reason)
        .with_causes({words});
  }
  if (const std::string refusal = refusal_of(failure.text); !refusal.empty()) {
    return base::Error(base::ErrorCode::unauthenticated,
                       "the " + failure.who + " " + failure.server + " refused the connection: " + refusal)
        .with_causes({words});
  }
  if (contains(failure.text, "wrong version number")) {
    return base::Error(base::ErrorCode::unauthenticated, "the " + failure.who + " " + failure.server + " does not speak TLS")
        .with_causes({words});
  }
  return base::Error(base::ErrorCode::unauthenticated, "no secure connection to " + failure.server + ": " + words);
}

}  // namespace vmbackup::kube
