#include "kube/proxy_choice.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "base/text.hpp"
#include "kube/kubeconfig_entry.hpp"

namespace vmbackup::kube {
namespace {

// An IPv6 address; an IPv4 one in its mapped form, so that both compare alike.
using Address = std::array<unsigned char, 16>;

std::optional<Address> address_in(const std::string& text) {
  Address address{};
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (inet_pton(AF_INET, text.c_str(), address.data() + 12) == 1) return address;
  return std::nullopt;
}

bool is_v4(const Address& address) {
  constexpr std::array<unsigned char, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(mapped.begin(), mapped.end(), address.begin());
}

bool is_loopback(const Address& address) {
  if (is_v4(address)) return address[12] == 127;
  return std::all_of(address.begin(), address.end() - 1, [](unsigned char byte) { return byte == 0; }) && address[15] == 1;
}

struct Host {
  std::string name;  // lower case, without brackets
  std::string port;
};

// "h:1", "[::1]:1", "::1", "h".
Host split_host(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  if (!text.empty() && text.front() == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string::npos) return {text, {}};
    return {text.substr(1, close - 1), close + 2 < text.size() ? text.substr(close + 2) : ""};
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || text.find(':', colon + 1) != std::string::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool in_network(const Address& address, const std::string& rule) {
  const std::size_t slash = rule.find('/');
  const std::optional<Address> network = address_in(rule.substr(0, slash));
  int bits = -1;
  const auto [end, error] = std::from_chars(rule.data() + slash + 1, rule.data() + rule.size(), bits);
  if (!network || error != std::errc() || end != rule.data() + rule.size() || bits < 0 || is_v4(*network) != is_v4(address)) return false;
  if (is_v4(*network)) bits += 96;
  if (bits > 128) return false;
  for (int bit = 0; bit < bits; ++bit) {
    const std::size_t byte = static_cast<std::size_t>(bit / 8);
    if (((address[byte] ^ (*network)[byte]) >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool matches(const std::string& rule, const Host& server, const std::optional<Address>& address) {
  if (rule == "*") return true;
  if (rule.find('/') != std::string::npos) return address && in_network(*address, rule);
  Host host = split_host(rule);
  if (host.name.empty() || (!host.port.empty() && host.port != server.port)) return false;
  if (const std::optional<Address> one = address_in(host.name)) return address && *address == *one;
  if (host.name.substr(0, 2) == "*.") host.name.erase(0, 1);
  if (host.name.front() == '.') return ends_with(server.name, host.name);
  return server.name == host.name || ends_with(server.name, "." + host.name);
}

std::string either(const std::vector<std::string>& variables, std::string_view upper, std::string_view lower) {
  const std::string value = variable_of(variables, upper);
  return value.empty() ? variable_of(variables, lower) : value;
}

}  // namespace

std::string variable_of(const std::vector<std::string>& variables, std::string_view name) {
  for (const std::string& line : variables) {
    if (line.size() > name.size() && line[name.size()] == '=' && line.compare(0, name.size(), name) == 0)
      return line.substr(name.size() + 1);
  }
  return {};
}

std::string proxy_of_environment(const std::string& server, const std::vector<std::string>& variables) {
  const bool tls = server.rfind("https://", 0) == 0;
  std::string proxy = tls ? either(variables, "HTTPS_PROXY", "https_proxy") : either(variables, "HTTP_PROXY", "http_proxy");
  if (proxy.empty()) return {};
  const std::size_t begin = server.find("://") + 3;
  Host host = split_host(server.substr(begin, server.find('/', begin) - begin));
  if (host.port.empty()) host.port = tls ? "443" : "80";
  const std::optional<Address> address = address_in(host.name);
  if (host.name == "localhost" || (address && is_loopback(*address))) return {};
  for (const std::string& part : base::split(either(variables, "NO_PROXY", "no_proxy"), ',')) {
    std::string rule(base::trim(part));
    std::transform(rule.begin(), rule.end(), rule.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
    if (!rule.empty() && matches(rule, host, address)) return {};
  }
  if (proxy.find("://") == std::string::npos) proxy.insert(0, "http://");
  return proxy;
}

base::Result<std::string> checked_proxy(const std::string& proxy, bool of_environment) {
  const std::size_t end = std::min(proxy.find("://"), proxy.size());
  std::string scheme = proxy.substr(0, end);
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  const bool known = scheme == "http" || scheme == "https" || scheme == "socks5" || (of_environment && scheme == "socks5h");
  if (!known || end + 3 >= proxy.size() || !is_clean(proxy)) {
    return base::Error(base::ErrorCode::invalid, "expected http://, https:// or socks5:// and a host");
  }
  return scheme + proxy.substr(end);
}

std::optional<base::Error> use_proxy_of_environment(const KubeconfigSource& source, Connection& connection) {
  const std::string proxy = proxy_of_environment(connection.server, source.variables);
  if (proxy.empty()) return std::nullopt;
  base::Result<std::string> checked = checked_proxy(proxy, true);
  const bool tls = connection.server.rfind("https://", 0) == 0;
  if (!checked) return checked.error().wrap(std::string("the environment's ") + (tls ? "HTTPS_PROXY" : "HTTP_PROXY"));
  connection.proxy_url = *std::move(checked);
  connection.proxy_from_environment = true;
  return std::nullopt;
}

}  // namespace vmbackup::kube
