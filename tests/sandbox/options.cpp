#include "options.hpp"

#include <algorithm>
#include <charconv>

namespace vmbackup::sandbox {

namespace {

using base::Error;
using base::ErrorCode;

Error usage(const std::string& message) { return Error(ErrorCode::usage, message, "tests/sandbox/README.md lists the options"); }

// Walks the arguments; value() of an option is the next one.
class Arguments {
 public:
  explicit Arguments(const std::vector<std::string>& args) : args_(args) {}
  bool next() { return ++at_ < static_cast<int>(args_.size()); }
  const std::string& word() const { return args_[static_cast<std::size_t>(at_)]; }
  std::string value() {
    const std::string option = word();
    if (next()) return word();
    missing_ = option;
    return "";
  }
  const std::string& missing() const { return missing_; }

 private:
  const std::vector<std::string>& args_;
  int at_ = -1;
  std::string missing_;
};

std::optional<ServerFault> certificate_of(const std::string& word) {
  if (word == "good") return ServerFault::none;
  if (word == "expired") return ServerFault::expired;
  if (word == "wrong-name") return ServerFault::wrong_name;
  if (word == "other-ca") return ServerFault::other_ca;
  if (word == "other-key") return ServerFault::other_key;
  return std::nullopt;
}

std::optional<int> number_of(const std::string& word) {
  int value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size() ? std::optional<int>(value) : std::nullopt;
}

// The error of one value, or nothing.
std::optional<Error> take(ServeOptions& options, Arguments& arguments) {
  const std::string option = arguments.word();
  if (option == "--state") {
    options.state = arguments.value();
  } else if (option == "--parent") {
    options.parent = number_of(arguments.value());
    if (!options.parent) return usage("--parent wants a process id");
  } else if (option == "--load") {
    options.load.push_back(arguments.value());
  } else if (option == "--demo") {
    options.demo = true;
  } else if (option == "--scale") {
    options.scale = number_of(arguments.value()).value_or(0);
    if (options.scale < 1 || options.scale > 100'000) return usage("--scale wants a number of VMs, 1 to 100000");
  } else if (option == "--scale-snapshots") {
    const base::Result<base::Duration> delay = base::parse_duration(arguments.value());
    if (!delay) return usage("--scale-snapshots: " + delay.error().message());
    options.scale_snapshots = *delay;
  } else if (option == "--speed") {
    const std::string speed = arguments.value();
    if (speed != "fast" && speed != "demo") return usage("--speed wants fast or demo, not \"" + speed + "\"");
    options.demo_speed = speed == "demo";
  } else if (option == "--kubevirt") {
    options.cluster.kubevirt = arguments.value();
    const std::string& version = options.cluster.kubevirt;
    if (version != "1.7.0" && version != "1.8.0" && version != "1.9.0")
      return usage("--kubevirt wants 1.7.0, 1.8.0 or 1.9.0, not \"" + version + "\"");
  } else if (option == "--no-gate") {
    options.cluster.snapshot_gate = false;
  } else if (option == "--no-snapshot-api") {
    options.cluster.snapshot_api = false;
  } else if (option == "--no-kubevirt") {
    options.cluster.kubevirt_api = false;
  } else if (option == "--log") {
    options.log = arguments.value();
  } else if (option == "--events") {
    options.events = arguments.value();
  } else if (option == "--certificate") {
    const std::optional<ServerFault> fault = certificate_of(arguments.value());
    if (!fault) return usage("--certificate wants good, expired, wrong-name, other-ca or other-key");
    options.certificate = *fault;
  } else if (option == "--http1") {
    options.http2 = false;
  } else {
    return usage("unknown option \"" + option + "\"");
  }
  return std::nullopt;
}

}  // namespace

base::Result<ServeOptions> parse_serve(const std::vector<std::string>& args) {
  ServeOptions options;
  Arguments arguments(args);
  while (arguments.next()) {
    if (const std::optional<Error> wrong = take(options, arguments)) return *wrong;
  }
  if (!arguments.missing().empty()) return usage(arguments.missing() + " wants a value");
  if (options.state.empty()) return usage("--state DIR is needed");
  if (options.scale_snapshots && options.scale == 0) return usage("--scale-snapshots wants --scale N as well");
  return options;
}

base::Result<ClientOptions> parse_client(const std::vector<std::string>& args) {
  ClientOptions options;
  options.verb = args.front();
  Arguments arguments(args);
  arguments.next();
  while (arguments.next()) {
    const std::string word = arguments.word();
    if (word == "--kubeconfig") {
      options.kubeconfig = arguments.value();
    } else if (word == "-n" || word == "--namespace") {
      options.ns = arguments.value();
    } else if (word == "-A" || word == "--all-namespaces") {
      options.all_namespaces = true;
    } else if (word == "-o") {
      options.output = arguments.value();
    } else if (word == "--now") {
      options.now = true;
    } else if (word == "--unused") {
      options.unused = true;
    } else if (word == "--timeout") {
      const base::Result<base::Duration> timeout = base::parse_duration(arguments.value());
      if (!timeout) return usage(timeout.error().message());
      options.timeout = *timeout;
    } else if (word.size() > 1 && word.front() == '-') {
      return usage("unknown option \"" + word + "\"");
    } else {
      options.words.push_back(word);
    }
  }
  if (!arguments.missing().empty()) return usage(arguments.missing() + " wants a value");
  if (options.kubeconfig.empty()) return usage("--kubeconfig FILE is needed");
  return options;
}

}  // namespace vmbackup::sandbox
