// The answer to a request that asks for another protocol, read from the bytes of a connection. Private to the transport; knows nothing of
// curl.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// Not thread-safe.
class UpgradeAnswer {
 public:
  // True when the answer has come whole: a head with status 101, or a refusal with its body. invalid: not HTTP, or a head or body that is
  // longer than a megabyte; of the body of a refusal no more than that is kept.
  base::Result<bool> take(std::string_view bytes);
  // The connection has ended. False: the answer had not come whole.
  bool end();
  HttpResponse response() const { return response_; }
  // What came after the head of a 101.
  const std::string& rest() const { return buffer_; }

 private:
  base::Result<bool> take_head();
  base::Result<bool> take_body();
  base::Result<bool> take_chunks();

  std::string buffer_;
  HttpResponse response_;
  bool head_done_ = false;
};

}  // namespace vmbackup::kube
