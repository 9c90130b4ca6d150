#include "tls_connection.hpp"

#include <openssl/err.h>
#include <unistd.h>

namespace vmbackup::sandbox {

namespace {

constexpr std::size_t k_most_unsent = 4 * 1024 * 1024;

std::string entry(X509_NAME* name, int index) {
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), static_cast<std::size_t>(ASN1_STRING_length(value)));
}

Identity identity_of(SSL* ssl) {
  Identity identity;
  X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return identity;
  identity.certificate = true;
  identity.valid = SSL_get_verify_result(ssl) == X509_V_OK;
  X509_NAME* name = X509_get_subject_name(certificate);
  for (int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1); at >= 0; at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) {
    identity.user = entry(name, at);
  }
  for (int at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1); at >= 0;
       at = X509_NAME_get_index_by_NID(name, NID_organizationName, at)) {
    identity.groups.push_back(entry(name, at));
  }
  return identity;
}

}  // namespace

TlsConnection::TlsConnection(int socket, SSL_CTX* context, Front& front) : socket_(socket), ssl_(SSL_new(context)), front_(front) {
  SSL_set_fd(ssl_, socket);
  SSL_set_accept_state(ssl_);
}

TlsConnection::~TlsConnection() {
  session_.reset();
  SSL_free(ssl_);
  close(socket_);
}

// False: not only "not yet".
bool TlsConnection::failed(int result) {
  const int error = SSL_get_error(ssl_, result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_WRITE) wants_write_ = true;
  return error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
}

bool TlsConnection::shake_hands() {
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) return !failed(result);
  const unsigned char* protocol = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &length);
  const bool http2 = length == 2 && protocol[0] == 'h' && protocol[1] == '2';
  session_ = http2 ? make_http2_session(front_, identity_of(ssl_)) : make_http1_session(front_, identity_of(ssl_));
  return true;
}

bool TlsConnection::read() {
  if (!session_ && !shake_hands()) return false;
  char buffer[16384];
  while (session_) {
    const int count = SSL_read(ssl_, buffer, sizeof buffer);
    if (count <= 0) return !failed(count);
    if (!session_->take(std::string_view(buffer, static_cast<std::size_t>(count)))) return false;
  }
  return true;
}

bool TlsConnection::write() {
  wants_write_ = false;
  if (!session_) return shake_hands();
  if (out_.size() < k_most_unsent) session_->fill(out_);
  while (!out_.empty()) {
    const int count = SSL_write(ssl_, out_.data(), static_cast<int>(std::min<std::size_t>(out_.size(), 1 << 16)));
    if (count <= 0) return !failed(count);
    out_.erase(0, static_cast<std::size_t>(count));
    if (out_.size() < k_most_unsent) session_->fill(out_);
  }
  if (!session_->over()) return true;
  SSL_shutdown(ssl_);
  return false;
}

void TlsConnection::go_away() {
  if (session_) session_->go_away();
}

}  // namespace vmbackup::sandbox
