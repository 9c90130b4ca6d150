#include "kube/server_address.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/text.hpp"

namespace vmbackup::kube {
namespace {

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_host(std::string_view text) {
  if (text.empty()) return false;
  if (text.front() != '[') return std::all_of(text.begin(), text.end(), is_host_character);
  return text.size() > 2 && text.back() == ']' &&
         std::all_of(text.begin() + 1, text.end() - 1, [](char c) { return is_host_character(c) || c == ':' || c == '%'; });
}

bool is_port(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 1 && number <= 65535;
}

bool is_path(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127 && c != '?' && c != '#' && c != '\\'; });
}

struct Split {
  bool tls = true;
  std::string host;
  std::string port;  // empty when not given
  std::string path;  // without a slash at the end
};

std::optional<Split> split_address(std::string_view text) {
  Split parts;
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) return std::nullopt;
  const std::string_view scheme = text.substr(0, mark);
  if (scheme != "https" && scheme != "http") return std::nullopt;
  parts.tls = scheme == "https";
  std::string_view rest = text.substr(mark + 3);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view path = rest.substr(slash);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  parts.path = path;
  rest = rest.substr(0, slash);
  const std::size_t host_end = rest.substr(0, 1) == "[" ? rest.find(']') : rest.find(':') - 1;
  parts.host = rest.substr(0, host_end == std::string_view::npos || host_end + 1 > rest.size() ? rest.size() : host_end + 1);
  rest.remove_prefix(parts.host.size());
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return std::nullopt;
  if (!rest.empty()) parts.port = rest.substr(1);
  if (!is_host(parts.host) || !is_path(parts.path)) return std::nullopt;
  return parts;
}

}  // namespace

base::Result<ServerAddress> address_of(const Connection& connection) {
  const std::optional<Split> parts = split_address(connection.server);
  if (!parts) {
    return base::Error(base::ErrorCode::invalid,
                       "the server address " + base::printable(connection.server, 300) + " is not of the form https://HOST:PORT");
  }
  ServerAddress address;
  const std::string scheme = parts->tls ? "https://" : "http://";
  const std::string authority = parts->host + (parts->port.empty() ? "" : ":" + parts->port);
  address.tls = parts->tls;
  address.host = parts->host;
  address.port = !parts->port.empty() ? parts->port : parts->tls ? "443" : "80";
  address.label = scheme + authority;
  address.tls_name = parts->host;
  address.base_url = address.label + parts->path;
  if (parts->tls && !connection.tls_server_name.empty() && connection.tls_server_name != parts->host) {
    // The name goes into the URL, where SNI and verification take it from; the connection still leads to the real address, and the
    // server is still asked for under its own name.
    address.tls_name = connection.tls_server_name;
    if (!is_host(address.tls_name)) {
      return base::Error(base::ErrorCode::invalid, "tls-server-name " + base::printable(address.tls_name, 300) + " is not a host name");
    }
    address.host_header = authority;
    address.connect_to = "::" + address.host + ":" + address.port;
    address.base_url = scheme + address.tls_name + ":" + address.port + parts->path;
  }
  address.proxy = connection.proxy_url;
  // As client-go: a SOCKS proxy resolves the names itself.
  if (address.proxy.substr(0, 9) == "socks5://") address.proxy.replace(0, 9, "socks5h://");
  if (!address.proxy.empty()) {
    const std::size_t begin = std::min(connection.proxy_url.find("://") + 3, connection.proxy_url.size());
    std::string place = connection.proxy_url.substr(begin, connection.proxy_url.find('/', begin) - begin);
    place.erase(0, place.rfind('@') + 1);
    address.proxy_label = connection.proxy_url.substr(0, begin) + place;
    address.proxy_host = place.substr(0, place.front() == '[' ? place.find(']') + 1 : place.find(':'));
  }
  return address;
}

}  // namespace vmbackup::kube
