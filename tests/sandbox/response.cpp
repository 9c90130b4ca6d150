#include "response.hpp"

namespace vmbackup::sandbox {

using Break = test::Answer::Break;

void Response::answer(int status, Headers headers, std::string body, Break broken) {
  begun_ = ended_ = true;
  status_ = status;
  headers_ = std::move(headers);
  headers_.emplace_back("content-length", std::to_string(body.size()));
  broken_ = broken;
  // The other half never comes.
  if (broken == Break::half) body.resize(body.size() / 2);
  body_ = std::move(body);
  if (changed) changed();
}

void Response::begin(int status, Headers headers) {
  begun_ = streaming_ = true;
  status_ = status;
  headers_ = std::move(headers);
  if (changed) changed();
}

void Response::upgrade(Headers headers, std::function<void(std::string_view)> take) {
  begun_ = true;
  status_ = 101;
  headers_ = std::move(headers);
  take_ = std::move(take);
  if (changed) changed();
}

void Response::write(std::string_view bytes) {
  body_ += bytes;
  if (changed) changed();
}

void Response::finish(bool broken) {
  ended_ = true;
  if (broken) broken_ = Break::reset;
  if (changed) changed();
}

}  // namespace vmbackup::sandbox
