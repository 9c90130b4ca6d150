#include "json/scan.hpp"

#include <rapidjson/error/error.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

namespace vmbackup::json {
namespace {

using base::Error;
using base::ErrorCode;

constexpr const char* k_trailing_text = "text after the end of the document";
constexpr const char* k_too_large = "a number is too large";
constexpr const char* k_lone_surrogate = "an escaped surrogate without its other half";

// The nearest double; beyond the smallest ones zero, beyond the largest ones infinite.
double real_of(std::string_view number) {
  double value = 0;
  const std::from_chars_result read = std::from_chars(number.begin(), number.end(), value);
  if (read.ec == std::errc()) return value;
  // Out of range: strtod tells at which end.
  return std::strtod(std::string(number).c_str(), nullptr);
}

// RapidJSON 1.1.0 lets a lone low surrogate pass ("\\ude00") and makes bytes of it that are no UTF-8.
bool has_surrogate(std::string_view text) {
  for (std::size_t at = text.find('\xED'); at != std::string_view::npos; at = text.find('\xED', at + 1)) {
    if (at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) >= 0xA0) return true;
  }
  return false;
}

// Builds values out of the reader's events. Its own stack, not the machine's, holds what is open.
class Builder {
 public:
  explicit Builder(const ScanOptions& options) : options_(options) {}

  bool Null() { return add(Value()); }
  bool Bool(bool value) { return add(Value(value)); }
  // Numbers come as text. RapidJSON 1.1.0 asks for the first bit of a zero to normalise 0e90, which has none.
  bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
    const std::string_view number(text, length);
    std::int64_t integer = 0;
    const std::from_chars_result read = std::from_chars(number.begin(), number.end(), integer);
    if (read.ec == std::errc() && read.ptr == number.end()) return add(Value(integer));
    const double real = real_of(number);
    if (!std::isfinite(real)) {
      refusal_ = k_too_large;
      return false;
    }
    return add(Value(real));
  }
  bool Int(int) { return false; }  // the reader wants them to be there
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    if (!is_text({text, length})) return false;
    return skipping_ > 0 ? pass_over() : add(Value(std::string(text, length)));
  }
  bool StartObject() { return open(false); }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    const std::string_view key(text, length);
    if (!is_text(key)) return false;
    if (skipping_ > 0) return true;
    if (key == options_.left_out.member && open_.size() > 1 && open_[open_.size() - 2].key == options_.left_out.parent && !key.empty()) {
      skipping_ = 1;
      return true;
    }
    open_.back().key.assign(text, length);
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    if (skipping_ > 0) return pass_end();
    Object members = take_from(members_);
    const std::size_t count = members.size();
    Value object = Value::object(std::move(members));
    if (options_.unique_names && object.members().size() != count) {
      refusal_ = "a member is repeated";
      return false;
    }
    return add(std::move(object));
  }
  bool StartArray() { return open(true); }
  bool EndArray(rapidjson::SizeType) { return skipping_ > 0 ? pass_end() : add(Value(take_from(items_))); }

  Value& root() { return root_; }
  const std::string& refusal() const { return refusal_; }

 private:
  // An array or object that is open; its items or members so far stand at the end of items_ or members_.
  struct Frame {
    bool is_array = false;
    std::size_t begin = 0;
    std::string key;  // of the member that comes next
  };

  bool is_text(std::string_view text) {
    if (!has_surrogate(text)) return true;
    refusal_ = k_lone_surrogate;
    return false;
  }
  // A whole value of what is left out, or a part of one: `skipping_` is how many levels are open in it, plus one.
  bool pass_over() {
    if (skipping_ == 1) skipping_ = 0;
    return true;
  }
  bool pass_end() {
    --skipping_;
    return pass_over();
  }
  bool open(bool is_array) {
    const std::size_t levels = open_.size() + (skipping_ > 0 ? skipping_ - 1 : 0);
    if (levels >= options_.most_depth) {
      refusal_ = "deeper than " + std::to_string(options_.most_depth) + " levels";
      return false;
    }
    if (skipping_ > 0) {
      ++skipping_;
    } else {
      open_.push_back({is_array, is_array ? items_.size() : members_.size(), {}});
    }
    return true;
  }
  // Ends the frame on top: what belongs to it, in a vector of just that size.
  template <typename T>
  std::vector<T> take_from(std::vector<T>& all) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(open_.back().begin);
    std::vector<T> own(std::make_move_iterator(begin), std::make_move_iterator(all.end()));
    all.erase(begin, all.end());
    open_.pop_back();
    return own;
  }
  bool add(Value value) {
    if (skipping_ > 0) return pass_over();
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_array) {
      items_.push_back(std::move(value));
    } else {
      members_.emplace_back(std::move(open_.back().key), std::move(value));
    }
    return true;
  }

  const ScanOptions& options_;
  std::vector<Frame> open_;
  Array items_;
  Object members_;
  std::size_t skipping_ = 0;
  Value root_;
  std::string refusal_;
};

bool is_ascii(std::string_view text) {
  constexpr std::uint64_t k_high_bits = 0x8080808080808080U;
  std::uint64_t word = 0;
  for (; text.size() >= sizeof word; text.remove_prefix(sizeof word)) {
    std::memcpy(&word, text.data(), sizeof word);
    if ((word & k_high_bits) != 0) return false;
  }
  return std::all_of(text.begin(), text.end(), [](char each) { return static_cast<unsigned char>(each) < 0x80; });
}

Error refuse(std::size_t offset, const std::string& why) {
  return {ErrorCode::invalid, "invalid JSON at byte " + std::to_string(offset) + ": " + why};
}

// Our own words, so that a message does not change with the library.
const char* reason_of(rapidjson::ParseErrorCode code) {
  switch (code) {
    case rapidjson::kParseErrorDocumentEmpty:
      return "the document is empty";
    case rapidjson::kParseErrorDocumentRootNotSingular:
      return k_trailing_text;
    case rapidjson::kParseErrorObjectMissName:
      return "expected a name in quotes";
    case rapidjson::kParseErrorObjectMissColon:
      return "expected a colon after a name";
    case rapidjson::kParseErrorObjectMissCommaOrCurlyBracket:
      return "expected a comma or }";
    case rapidjson::kParseErrorArrayMissCommaOrSquareBracket:
      return "expected a comma or ]";
    case rapidjson::kParseErrorStringUnicodeEscapeInvalidHex:
      return "expected four hexadecimal digits after \\u";
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
      return k_lone_surrogate;
    case rapidjson::kParseErrorStringEscapeInvalid:
      return "a control character or unknown escape in a string";
    case rapidjson::kParseErrorStringMissQuotationMark:
      return "a string does not end";
    case rapidjson::kParseErrorStringInvalidEncoding:
      return "a string is not UTF-8";
    case rapidjson::kParseErrorNumberTooBig:
      return k_too_large;
    case rapidjson::kParseErrorNumberMissFraction:
      return "expected a digit after the point";
    case rapidjson::kParseErrorNumberMissExponent:
      return "expected a digit in the exponent";
    default:
      return "expected a value";
  }
}

}  // namespace

base::Result<Value> scan(std::string_view text, const ScanOptions& options) {
  if (text.size() > options.most_bytes) {
    return Error(ErrorCode::invalid, "invalid JSON: longer than " + std::to_string(options.most_bytes) + " bytes");
  }
  if (text.empty()) return refuse(0, "the document is empty");
  // Iterative: two hundred thousand open brackets must not take the machine's stack.
  constexpr unsigned k_flags = rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  Builder builder(options);
  // A third of the time would go into looking at each character of a text that is nearly always plain.
  const rapidjson::ParseResult result = is_ascii(text) ? reader.Parse<k_flags>(stream, builder)
                                                       : reader.Parse<k_flags | rapidjson::kParseValidateEncodingFlag>(stream, builder);
  if (result.IsError()) return refuse(result.Offset(), builder.refusal().empty() ? reason_of(result.Code()) : builder.refusal());
  // The reader takes a zero byte for the end.
  if (stream.Tell() < text.size()) return refuse(stream.Tell(), k_trailing_text);
  return std::move(builder.root());
}

base::Result<Value> parse(std::string_view text, std::size_t most_bytes, const LeftOut& left_out) {
  return scan(text, {most_bytes, 512, false, left_out});
}

}  // namespace vmbackup::json
