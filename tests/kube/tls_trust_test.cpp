#include "kube/tls_trust.hpp"

#include <doctest/doctest.h>

namespace vmbackup::kube {
namespace {

const std::string k_certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const std::string k_key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

std::string complaint(const std::string& ca, const std::string& certificate, const std::string& key) {
  Connection connection;
  connection.ca_pem = ca;
  connection.certificate_pem = certificate;
  connection.key_pem = Secret(key);
  const auto checked = check_pem(connection);
  if (checked) return {};
  CHECK(checked.error().code() == base::ErrorCode::invalid);
  return checked.error().message();
}

TEST_CASE("PEM that can be told apart without a TLS library") {
  CHECK(complaint("", "", "").empty());
  CHECK(complaint("comment\n" + k_certificate, k_certificate, k_key).empty());
  CHECK(complaint(k_key, "", "") == "the certificate authority is not a PEM certificate (no BEGIN CERTIFICATE line)");
  CHECK(complaint(k_certificate.substr(0, 35), "", "") == "the certificate authority is cut off (no END CERTIFICATE line)");
  CHECK(complaint("", k_key, k_key) == "the client certificate is not a PEM certificate (no BEGIN CERTIFICATE line)");
  CHECK(complaint("", k_certificate, k_certificate) == "the client key is not a PEM private key (no BEGIN PRIVATE KEY line)");
  CHECK(complaint("", k_certificate, k_key.substr(0, 35)) == "the client key is cut off (no END PRIVATE KEY line)");
  CHECK(complaint("", k_certificate, "") == "there is a client certificate but no client key");
  CHECK(complaint("", "", k_key) == "there is a client key but no client certificate");
  CHECK(complaint("", k_certificate, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ") ==
        "the client key is encrypted with a passphrase, which kubeconfig cannot carry");
}

TEST_CASE("a complaint about a key never shows it") {
  CHECK(complaint("", k_certificate, "c2VjcmV0").find("c2VjcmV0") == std::string::npos);
}

TEST_CASE("which bundle counts: that of SSL_CERT_FILE before the system's") {
  Connection connection;
  connection.bundle_file = "/no/such/bundle";
  const base::Result<std::string> missing = find_bundle(connection);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code() == base::ErrorCode::invalid);
  CHECK(missing.error().message() == "cannot read /no/such/bundle, which the environment's SSL_CERT_FILE names");
  connection.bundle_file = VMBACKUP_TESTS_DIR "/run";
  CHECK(*find_bundle(connection) == VMBACKUP_TESTS_DIR "/run");
  connection.bundle_file.clear();
  connection.bundle_folder = "/somewhere";
  CHECK(find_bundle(connection).ok());
}

TEST_CASE("failed handshakes name name, trust or expiry, and the server") {
  const auto message = [](long verify_result, const std::string& text) {
    const base::Error error = describe_tls_failure({verify_result, text, "https://h:1", "h"});
    CHECK(error.code() == base::ErrorCode::unauthenticated);
    return error.message();
  };
  const std::string cannot = "cannot trust the server https://h:1: ";
  CHECK(message(10, "x") == cannot + "its certificate has expired (or the clock of this machine is wrong)");
  CHECK(message(9, "x") == cannot + "its certificate is not valid yet (check the clock of this machine)");
  CHECK(message(18, "x") == cannot + "its certificate is signed by itself, and by no authority that we trust");
  CHECK(message(19, "x") == cannot + "its certificate is not signed by an authority that we trust");
  CHECK(message(20, "x") == cannot + "its certificate is not signed by an authority that we trust");
  CHECK(message(0, "SSL: no alternative certificate subject name matches target host name 'h'") ==
        cannot + "its certificate is not for the name h");
  for (const char* words :
       {"OpenSSL/3.0.19: error:06880006:asn1 encoding routines::EVP lib", "error:0200008A:rsa routines::invalid padding"}) {
    CHECK(speaks_of_tls(words));
    CHECK(message(1, words) ==
          cannot + "the signature of its certificate does not fit the authority that we trust (another one of the same name?)");
  }
  const std::string refused = "the server https://h:1 refused the connection: ";
  CHECK(message(0, "OpenSSL: sslv3 alert certificate expired, errno 0") == refused + "it refused our client certificate: it has expired");
  CHECK(message(0, "OpenSSL: tlsv13 alert certificate required") == refused + "it wants a client certificate, and we have none");
  CHECK(message(0, "OpenSSL: tlsv1 alert unknown ca") == refused + "it refused our client certificate: it does not trust who signed it");
  CHECK(message(0, "error:0A00010B:SSL routines::wrong version number") == "the server https://h:1 does not speak TLS");
  CHECK(message(0, "something \x1b else") == "no secure connection to https://h:1: something \\x1b else");
}

TEST_CASE("a lost connection is not taken for a refusal") {
  CHECK_FALSE(speaks_of_tls("Recv failure: Connection reset by peer"));
  CHECK_FALSE(speaks_of_tls("OpenSSL SSL_connect: Connection reset by peer in connection to h:1"));
  CHECK(speaks_of_tls("OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0"));
}

}  // namespace
}  // namespace vmbackup::kube
