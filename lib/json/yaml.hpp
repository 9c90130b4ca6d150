// YAML documents, read into and written from json::Value.
#pragma once

#include <string>
#include <string_view>

#include "json/value.hpp"

namespace vmbackup::json {

// Reads one YAML (or JSON) document with the scalar rules of YAML 1.1 as Kubernetes' own reader has them (true/false/yes/no/on/off unquoted
// are booleans, ~ and null are null, decimal, 0x and 0o integers, reals). Anchors and merges are expanded, at most 10 times the size of the
// input. invalid: not YAML (with the line), more than one document, a repeated key (named), tabs as indentation, deeper than 128 levels,
// longer than `most_bytes`. An empty document is null.
base::Result<Value> parse_yaml(std::string_view text, std::size_t most_bytes = std::size_t{16} << 20);

// Block style, keys in their order, strings quoted where a reader would take them for something else. Ends with a line feed.
std::string dump_yaml(const Value& value);

}  // namespace vmbackup::json
