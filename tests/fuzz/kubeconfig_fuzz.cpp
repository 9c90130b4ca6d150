// kube::load_connection: whatever a file holds, the answer is a usable connection or words that a terminal can show.
#include <sys/mman.h>
#include <unistd.h>

#include "base/utf8.hpp"
#include "check.hpp"
#include "kube/kubeconfig.hpp"

using vmbackup::base::Result;
using vmbackup::fuzz::require;
using vmbackup::kube::Connection;

namespace {

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const vmbackup::base::Utf8Char c = vmbackup::base::next_utf8(text);
    if (!c.valid || vmbackup::base::is_hidden(c.code)) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

bool fits_a_header(std::string_view text) { return text.find_first_of("\r\n ") == std::string_view::npos; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int file = ::memfd_create("kubeconfig", MFD_CLOEXEC);
  require(file >= 0, "there is memory for the file");
  require(::write(file, data, size) == static_cast<ssize_t>(size), "the file takes the input");
  vmbackup::kube::KubeconfigSource source;
  source.explicit_path = "/proc/self/fd/" + std::to_string(file);
  const Result<Connection> connection = vmbackup::kube::load_connection(source);
  if (connection) {
    require(connection->server.rfind("http", 0) == 0 && fits_a_header(connection->server), "the server is an address");
    require(fits_a_header(connection->token.reveal()), "the token fits a header");
    require(connection->certificate_pem.empty() == connection->key_pem.empty(), "a certificate comes with its key");
  } else {
    require(!connection.error().message().empty(), "a refusal says why");
    require(is_printable(connection.error().message()), "a refusal is printable");
    require(is_printable(connection.error().hint()), "a hint is printable");
  }
  const Result<vmbackup::kube::KubeconfigNames> names = vmbackup::kube::kubeconfig_names(source);
  require(names.ok() || !connection.ok(), "a file that connects has its contexts listed");
  ::close(file);
  return 0;
}
