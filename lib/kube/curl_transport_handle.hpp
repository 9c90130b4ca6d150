// One handle of curl: the options that make a connection, and its errors in our words. Private to the curl transport.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>

#include "kube/curl_transport.hpp"
#include "kube/server_address.hpp"

namespace vmbackup::kube {

// All that is the same for every request of one transport.
struct CurlSettings {
  Connection connection;
  TransportOptions options;
  ServerAddress address;
  std::string bundle;  // path of the system's authorities, where the connection brings none
  bool http2 = true;
  unsigned user_timeout = 0;  // milliseconds
};

struct EasyFree {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiFree {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// One easy handle of curl. What it says of its last failure is kept in it.
struct CurlHandle {
  std::unique_ptr<CURL, EasyFree> easy{curl_easy_init()};
  std::array<char, CURL_ERROR_SIZE> words{};
  std::unique_ptr<curl_slist, ListFree> connect_to;
  CURLcode failed = easy == nullptr ? CURLE_OUT_OF_MEMORY : CURLE_OK;  // the first option that was refused

  template <typename T>
  void set(CURLoption option, T value) {
    if (easy == nullptr) return;
    const CURLcode code = curl_easy_setopt(easy.get(), option, value);
    if (failed == CURLE_OK) failed = code;
  }
  void set_blob(CURLoption option, const std::string& bytes) {
    curl_blob blob{const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_NOCOPY};
    set(option, &blob);
  }
};

// Sets what is the same for every request. It has to be: another value of a TLS option means another connection. `settings` must outlive
// the handle.
void set_connection(CurlHandle& handle, const CurlSettings& settings);

// `code` as the error that kube::Transport promises.
base::Error describe(CURLcode code, const CurlHandle& handle, const CurlSettings& settings);

// Milliseconds as curl wants them: from 1 to a day.
long curl_milliseconds(base::Duration duration);

}  // namespace vmbackup::kube
