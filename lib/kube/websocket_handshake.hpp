// How an HTTP/1.1 request becomes a WebSocket. [RFC 6455, section 4]
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// 16 bytes that nobody could guess, in base64: the value of Sec-WebSocket-Key.
std::string websocket_key();

// What a server that understood has to answer to that key. [RFC 6455, section 4.2.2]
std::string websocket_accept(std::string_view key);

// Adds the headers of the handshake. `protocols`: the subprotocols that we speak, the best one first.
void ask_for_websocket(HttpRequest& request, const std::string& key, const std::vector<std::string>& protocols);

// The subprotocol that the server chose in its 101 answer. invalid: the answer is not one to that key, or chose what was not offered.
base::Result<std::string> chosen_protocol(const HttpResponse& response, const std::string& key, const std::vector<std::string>& protocols);

}  // namespace vmbackup::kube
