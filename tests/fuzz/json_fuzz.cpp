// json::parse, dump and dump_pretty: what is read is written and read again the same.
#include "check.hpp"
#include "json/value.hpp"

using vmbackup::base::Result;
using vmbackup::fuzz::require;
using vmbackup::json::Value;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Value> value = vmbackup::json::parse({reinterpret_cast<const char*>(data), size});
  if (!value) {
    require(value.error().message().rfind("invalid JSON", 0) == 0, "a refusal says that it is one");
    return 0;
  }
  const std::string text = vmbackup::json::dump(*value);
  const Result<Value> again = vmbackup::json::parse(text);
  require(again.ok(), "dump writes JSON");
  require(*again == *value, "dump keeps the value");
  require(vmbackup::json::dump(*again) == text, "dump keeps types and order");
  const Result<Value> pretty = vmbackup::json::parse(vmbackup::json::dump_pretty(*value));
  require(pretty.ok() && *pretty == *value, "dump_pretty keeps the value");
  return 0;
}
