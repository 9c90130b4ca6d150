#include "json/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <cmath>
#include <map>
#include <sstream>
#include <unordered_set>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "json/scan.hpp"
#include "json/yaml_scalar.hpp"

namespace vmbackup::json {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t k_most_depth = 128;
constexpr std::size_t k_most_growth = 10;  // expanded aliases, as a multiple of the text

Error refuse(int line, const std::string& why) {
  return {ErrorCode::invalid, line > 0 ? "invalid YAML at line " + std::to_string(line) + ": " + why : "invalid YAML: " + why};
}

// The one way out of yaml-cpp's callbacks; caught below, in this file.
struct Refusal {
  YAML::Mark mark;
  std::string why;
};

// Roughly what a value takes as text.
std::size_t weight_of(const Value& value) {
  std::size_t weight = 1 + value.as_string().size();
  for (const Value& item : value.items()) weight += weight_of(item);
  for (const Member& member : value.members()) weight += member.first.size() + weight_of(member.second);
  return weight;
}

// Builds one document out of yaml-cpp's events. (Its own node tree knows neither limits nor repeated keys, and shares what aliases name.)
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(std::size_t most_expanded) : most_expanded_(most_expanded) {}

  Value& root() { return root_; }
  bool complete() const { return complete_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override { complete_ = true; }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { OnScalar(mark, "?", anchor, ""); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refusal{mark, "an alias inside of what it names"};
    spend(mark, found->second.weight);
    add(mark, found->second.value, 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& text) override {
    if (expects_key()) {
      set_key(mark, tag, text);
      if (anchor != 0) keep(anchor, Value(text));
      return;
    }
    add(mark, scalar(mark, tag, text), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, true);
  }
  void OnSequenceEnd() override {
    Frame frame = take();
    add(frame.mark, Value(std::move(frame.items)), frame.anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, false);
  }
  void OnMapEnd() override {
    Frame frame = take();
    for (const Value& source : frame.merges) merge(frame, source);
    add(frame.mark, Value::object(std::move(frame.members)), frame.anchor);
  }

 private:
  struct Frame {
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    bool is_sequence = false;
    Array items;
    Object members;
    std::unordered_set<std::string> names;
    std::vector<Value> merges;  // values of "<<", first one wins
    bool has_key = false;
    bool is_merge = false;  // the key is "<<"
    std::string key;
  };
  struct Anchor {
    Value value;
    std::size_t weight = 0;
  };

  bool expects_key() const { return !open_.empty() && !open_.back().is_sequence && !open_.back().has_key; }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool is_sequence) {
    if (expects_key()) throw Refusal{mark, "a key that is no scalar"};
    const std::string own = is_sequence ? "tag:yaml.org,2002:seq" : "tag:yaml.org,2002:map";
    if (tag != "?" && tag != "!" && !tag.empty() && tag != own) throw Refusal{mark, "unknown tag " + base::printable(tag, 64)};
    if (open_.size() >= k_most_depth) throw Refusal{mark, "deeper than " + std::to_string(k_most_depth) + " levels"};
    Frame& frame = open_.emplace_back();
    frame.mark = mark;
    frame.anchor = anchor;
    frame.is_sequence = is_sequence;
  }

  Frame take() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    return frame;
  }

  Value scalar(const YAML::Mark& mark, const std::string& tag, const std::string& text) const {
    if (tag == "!" || tag == "tag:yaml.org,2002:str") return text;
    const Value value = plain_scalar(text);
    if (value.is_number() && !std::isfinite(value.as_number())) throw Refusal{mark, "JSON has no number for " + text};
    if (tag == "?" || tag.empty()) return value;
    if (tag == "tag:yaml.org,2002:float" && value.is_number()) return value.as_number();
    const bool fits = (tag == "tag:yaml.org,2002:int" && value.is_integer()) || (tag == "tag:yaml.org,2002:bool" && value.is_bool()) ||
                      (tag == "tag:yaml.org,2002:null" && value.is_null());
    if (!fits) throw Refusal{mark, "the value does not fit its tag " + base::printable(tag, 64)};
    return value;
  }

  // JSON has only strings as names: 1 becomes "1", yes "true".
  void set_key(const YAML::Mark& mark, const std::string& tag, const std::string& text) {
    Frame& frame = open_.back();
    const Value key = scalar(mark, tag, text);
    if (key.is_null()) throw Refusal{mark, "a key that is null"};
    frame.is_merge = tag == "?" && text == "<<";
    frame.key = key.is_string() ? key.as_string() : dump(key);
    frame.has_key = true;
    if (!frame.is_merge && !frame.names.insert(frame.key).second) {
      throw Refusal{mark, "the key \"" + base::printable(frame.key, 128) + "\" is repeated"};
    }
  }

  void add(const YAML::Mark& mark, Value value, YAML::anchor_t anchor) {
    if (anchor != 0) keep(anchor, value);
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = open_.back();
    if (frame.is_sequence) {
      frame.items.push_back(std::move(value));
    } else if (!frame.has_key) {
      // An alias in the place of a key.
      if (!value.is_string()) throw Refusal{mark, "a key that is no string"};
      set_key(mark, "!", value.as_string());
    } else {
      frame.has_key = false;
      if (frame.is_merge) {
        add_merge(mark, frame, std::move(value));
      } else {
        frame.members.emplace_back(std::move(frame.key), std::move(value));
      }
    }
  }

  static void add_merge(const YAML::Mark& mark, Frame& frame, Value value) {
    const bool is_list = value.is_array();
    Array sources = is_list ? value.items() : Array{std::move(value)};
    for (Value& source : sources) {
      if (!source.is_object()) throw Refusal{mark, "only maps can be merged by \"<<\""};
      frame.merges.push_back(std::move(source));
    }
  }

  static void merge(Frame& frame, const Value& source) {
    for (const Member& member : source.members()) {
      if (frame.names.insert(member.first).second) frame.members.push_back(member);
    }
  }

  void keep(YAML::anchor_t anchor, const Value& value) { anchors_[anchor] = {value, weight_of(value)}; }

  void spend(const YAML::Mark& mark, std::size_t weight) {
    expanded_ += weight;
    if (expanded_ > most_expanded_) {
      throw Refusal{mark, "its aliases grow to more than " + std::to_string(k_most_growth) + " times the text"};
    }
  }

  std::size_t most_expanded_;
  std::size_t expanded_ = 0;
  std::map<YAML::anchor_t, Anchor> anchors_;
  std::vector<Frame> open_;
  Value root_;
  bool complete_ = false;
};

std::string_view line_of(std::string_view text, int line) {
  for (int i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// yaml-cpp puts U+FFFD for bytes that it cannot read, and takes zero bytes for another encoding: look first.
std::optional<Error> refuse_bytes(std::string_view text) {
  int line = 1;
  while (!text.empty()) {
    const base::Utf8Char c = base::next_utf8(text);
    if (!c.valid) return refuse(line, "not UTF-8");
    if (c.code == '\n') ++line;
    if (c.code < 0x20 && c.code != '\n' && c.code != '\r' && c.code != '\t') return refuse(line, "a control character");
    text.remove_prefix(c.length);
  }
  return std::nullopt;
}

Error explain(const YAML::Mark& mark, const std::string& why, std::string_view text) {
  const int line = mark.is_null() ? 0 : mark.line + 1;
  const std::string_view shown = line_of(text, line);
  const std::size_t first = shown.find_first_not_of(' ');
  if (first != std::string_view::npos && shown[first] == '\t') return refuse(line, "a tab is used as indentation");
  return refuse(line, why);
}

}  // namespace

base::Result<Value> parse_yaml(std::string_view text, std::size_t most_bytes) {
  if (text.size() > most_bytes) return refuse(0, "longer than " + std::to_string(most_bytes) + " bytes");
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  if (const std::optional<Error> refusal = refuse_bytes(text)) return *refusal;
  // yaml-cpp does not take all of JSON (escaped surrogates, tabs), and is slower at it.
  const std::string_view body = base::trim(text);
  if (!body.empty() && (body.front() == '{' || body.front() == '[')) {
    base::Result<Value> document = scan(body, {most_bytes, k_most_depth, true});
    if (document) return document;
  }
  try {
    // yaml-cpp 0.7 lets a quoted text that never ends pass if the document ends with a line feed. The end of the document, written out,
    // does not.
    const bool whole_lines = !text.empty() && text.back() == '\n';
    std::istringstream stream(std::string(text) + (whole_lines ? "...\n" : ""));
    YAML::Parser parser(stream);
    Builder builder(k_most_growth * text.size());
    if (!parser.HandleNextDocument(builder) || !builder.complete()) return Value();
    Builder next(0);
    if (parser.HandleNextDocument(next)) return refuse(0, "more than one document");
    return std::move(builder.root());
  } catch (const Refusal& refusal) {
    return explain(refusal.mark, refusal.why, text);
  } catch (const YAML::Exception& error) {
    return explain(error.mark, base::printable(error.msg, 256), text);  // may quote a character of the text
  } catch (const std::exception& error) {
    return refuse(0, base::printable(error.what(), 256));
  }
}

}  // namespace vmbackup::json
