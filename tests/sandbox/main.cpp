// vmbackup-sandbox: see README.md.
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "options.hpp"

int main(int argc, char** argv) {
  using namespace vmbackup;
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool client = !args.empty() && !args.front().empty() && args.front().front() != '-';
  if (client) {
    const base::Result<sandbox::ClientOptions> options = sandbox::parse_client(args);
    if (options) return sandbox::act(*options);
    std::fprintf(stderr, "error: %s\nhint: %s\n", options.error().message().c_str(), options.error().hint().c_str());
    return 2;
  }
  const base::Result<sandbox::ServeOptions> options = sandbox::parse_serve(args);
  if (options) return sandbox::serve(*options);
  std::fprintf(stderr, "error: %s\nhint: %s\n", options.error().message().c_str(), options.error().hint().c_str());
  return 2;
}
