#include "json/scan.hpp"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <cctype>
#include <limits>
#include <optional>

namespace vmbackup::json {
namespace {

using base::Error;
using base::ErrorCode;

// Builds values out of the reader's events. Its own stack, not the machine's, holds what is open.
class Builder {
 public:
  explicit Builder(const ScanOptions& options) : options_(options) {}

  bool Null() { return add(Value()); }
  bool Bool(bool value) { return add(Value(value)); }
  bool Int(int value) { return add(Value(value)); }
  bool Uint(unsigned value) { return add(Value(std::int64_t{value})); }
  bool Int64(std::int64_t value) { return add(Value(value)); }
  bool Uint64(std::uint64_t value) {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return add(Value(static_cast<std::int64_t>(value)));
    return add(Value(static_cast<double>(value)));
  }
  bool Double(double value) { return add(Value(value)); }
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }  // only with numbers read as strings
  bool String(const char* text, rapidjson::SizeType length, bool) { return add(Value(std::string(text, length))); }
  bool StartObject() { return open(false); }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    open_.back().key.assign(text, length);
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    Frame frame = take();
    const std::size_t count = frame.members.size();
    Value object = Value::object(std::move(frame.members));
    if (options_.unique_names && object.members().size() != count) {
      refusal_ = "a member is repeated";
      return false;
    }
    return add(std::move(object));
  }
  bool StartArray() { return open(true); }
  bool EndArray(rapidjson::SizeType) { return add(Value(take().items)); }

  Value& root() { return root_; }
  const std::string& refusal() const { return refusal_; }

 private:
  struct Frame {
    bool is_array = false;
    Array items;
    Object members;
    std::string key;  // of the member that comes next
  };

  bool open(bool is_array) {
    if (open_.size() >= options_.most_depth) {
      refusal_ = "deeper than " + std::to_string(options_.most_depth) + " levels";
      return false;
    }
    open_.emplace_back().is_array = is_array;
    return true;
  }
  Frame take() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    return frame;
  }
  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_array) {
      open_.back().items.push_back(std::move(value));
    } else {
      open_.back().members.emplace_back(std::move(open_.back().key), std::move(value));
    }
    return true;
  }

  const ScanOptions& options_;
  std::vector<Frame> open_;
  Value root_;
  std::string refusal_;
};

Error refuse(std::size_t offset, const std::string& why) {
  return {ErrorCode::invalid, "invalid JSON at byte " + std::to_string(offset) + ": " + why};
}

// RapidJSON's sentence in the form of our messages.
std::string reason_of(rapidjson::ParseErrorCode code) {
  std::string text = rapidjson::GetParseError_En(code);
  while (!text.empty() && text.back() == '.') text.pop_back();
  if (!text.empty()) text.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(text.front())));
  return text;
}

}  // namespace

base::Result<Value> scan(std::string_view text, const ScanOptions& options) {
  if (text.size() > options.most_bytes) {
    return Error(ErrorCode::invalid, "invalid JSON: longer than " + std::to_string(options.most_bytes) + " bytes");
  }
  if (text.empty()) return refuse(0, "the document is empty");
  // Iterative: two hundred thousand open brackets must not take the machine's stack.
  constexpr unsigned k_flags = rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseFullPrecisionFlag;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  Builder builder(options);
  const rapidjson::ParseResult result = reader.Parse<k_flags>(stream, builder);
  if (result.IsError()) return refuse(result.Offset(), builder.refusal().empty() ? reason_of(result.Code()) : builder.refusal());
  // The reader takes a zero byte for the end.
  if (stream.Tell() < text.size()) return refuse(stream.Tell(), "text after the end of the document");
  return std::move(builder.root());
}

base::Result<Value> parse(std::string_view text, std::size_t most_bytes) { return scan(text, {most_bytes, 512, false}); }

}  // namespace vmbackup::json
