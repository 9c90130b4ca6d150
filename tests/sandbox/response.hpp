// One answer on its way from the cluster to a connection: filled by the front, emptied by an HTTP session.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/fake_cluster_status.hpp"

namespace vmbackup::sandbox {

using Headers = std::vector<std::pair<std::string, std::string>>;  // names in lower case

// One thread only. `changed` is called after each change, until the session lets go of it.
class Response {
 public:
  // A whole answer.
  void answer(int status, Headers headers, std::string body, test::Answer::Break broken);
  // An answer whose body comes piece by piece.
  void begin(int status, Headers headers);
  void write(std::string_view bytes);
  // 101: from here on the body's bytes leave as they are, and `take` gets the client's.
  void upgrade(Headers headers, std::function<void(std::string_view)> take);
  // broken: the stream breaks instead of ending.
  void finish(bool broken);

  bool begun() const { return begun_; }
  bool ended() const { return ended_; }
  bool streaming() const { return streaming_; }
  bool upgraded() const { return take_ != nullptr; }
  void take(std::string_view bytes) { take_(bytes); }
  int status() const { return status_; }
  const Headers& headers() const { return headers_; }
  test::Answer::Break broken() const { return broken_; }
  // Bytes that were not sent yet; the session erases what it sends.
  std::string& body() { return body_; }
  std::function<void()> changed;

 private:
  bool begun_ = false;
  bool ended_ = false;
  bool streaming_ = false;
  int status_ = 0;
  Headers headers_;
  std::string body_;
  std::function<void(std::string_view)> take_;
  test::Answer::Break broken_ = test::Answer::Break::none;
};

}  // namespace vmbackup::sandbox
