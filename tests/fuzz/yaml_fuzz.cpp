// json::parse_yaml and dump_yaml: what is read is written and read again the same.
#include "check.hpp"
#include "json/yaml.hpp"

using vmbackup::base::Result;
using vmbackup::fuzz::require;
using vmbackup::json::Value;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Value> value = vmbackup::json::parse_yaml({reinterpret_cast<const char*>(data), size});
  if (!value) {
    require(value.error().message().rfind("invalid YAML", 0) == 0, "a refusal says that it is one");
    return 0;
  }
  const Result<Value> again = vmbackup::json::parse_yaml(vmbackup::json::dump_yaml(*value));
  require(again.ok(), "dump_yaml writes YAML");
  require(vmbackup::json::dump(*again) == vmbackup::json::dump(*value), "dump_yaml keeps values, types and order");
  return 0;
}
