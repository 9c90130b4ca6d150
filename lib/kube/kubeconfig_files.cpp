#include "kube/kubeconfig_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.hpp"
#include "json/reader.hpp"
#include "json/yaml.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::printable;
using base::Result;

constexpr std::size_t k_most_bytes = std::size_t{16} << 20;
constexpr const char* k_where_from = "set KUBECONFIG, or give a file with --kubeconfig";

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string reason_of(int number) {
  std::string why = std::strerror(number);
  if (!why.empty() && why.front() >= 'A' && why.front() <= 'Z') why.front() = static_cast<char>(why.front() - 'A' + 'a');
  return why;
}

std::string name_of(const std::string& file) { return "kubeconfig " + printable(file); }

struct FoundFiles {
  std::vector<std::string> paths;
  bool must_exist = false;
};

FoundFiles find_files(const KubeconfigSource& source) {
  if (!source.explicit_path.empty()) return {{source.explicit_path}, true};
  FoundFiles found;
  for (const std::string& path : base::split(source.kubeconfig_env, ':')) {
    const bool known = std::find(found.paths.begin(), found.paths.end(), path) != found.paths.end();
    if (!path.empty() && !known) found.paths.push_back(path);
  }
  if (source.kubeconfig_env.empty() && !source.home.empty()) found.paths.push_back(source.home + "/.kube/config");
  return found;
}

Error no_files(const KubeconfigSource& source, const std::vector<std::string>& looked) {
  std::string why = "KUBECONFIG and HOME are not set";
  if (!source.kubeconfig_env.empty()) why = "KUBECONFIG names no file: " + printable(source.kubeconfig_env);
  if (looked.size() == 1) why = printable(looked.front()) + " does not exist";
  if (looked.size() > 1) why = "none of the files in KUBECONFIG exists: " + printable(source.kubeconfig_env);
  return {ErrorCode::not_found, "no kubeconfig: " + why, k_where_from};
}

// Adds the entries of one list to those of the files before, which win.
std::optional<Error> add_entries(const json::Reader& root, const std::string& list, const std::string& body, const std::string& file,
                                 KubeconfigEntries& entries) {
  KubeconfigEntries own;
  std::optional<Error> refusal;
  root.for_each(list, [&](const json::Reader& item) {
    const std::string name = item.required_string("name");
    const json::Reader content = item.member(body);
    if (root.error() || refusal) return;
    if (!own.emplace(name, KubeconfigEntry{file, content.raw()}).second) {
      refusal = Error(ErrorCode::invalid, name_of(file) + ": " + list + ": the name \"" + printable(name) + "\" is repeated");
    }
  });
  entries.merge(own);
  return refusal ? refusal : root.error();
}

std::optional<Error> add_file(const std::string& file, const json::Value& document, MergedKubeconfig& merged) {
  const json::Reader root(document, name_of(file));
  const std::string kind = root.string("kind");
  const std::string version = root.string("apiVersion");
  const std::string current_context = root.string("current-context");
  if (const std::optional<Error> error = root.error()) return error;
  if (!kind.empty() && kind != "Config") {
    return Error(ErrorCode::invalid, name_of(file) + ": it holds a " + printable(kind) + ", not a kubeconfig (kind: Config)");
  }
  if (!version.empty() && version != "v1") {
    return Error(ErrorCode::invalid, name_of(file) + ": its apiVersion is " + printable(version) + "; only v1 is known");
  }
  if (merged.current_context.empty()) merged.current_context = current_context;
  if (std::optional<Error> error = add_entries(root, "contexts", "context", file, merged.contexts)) return error;
  if (std::optional<Error> error = add_entries(root, "clusters", "cluster", file, merged.clusters)) return error;
  return add_entries(root, "users", "user", file, merged.users);
}

}  // namespace

Result<std::string> read_file(const std::string& path, const std::string& what) {
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    return Error(code, "cannot read " + what + printable(path) + ": " + why);
  };
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0) {
    const int number = errno;
    return refuse(number == ENOENT ? ErrorCode::not_found : ErrorCode::invalid, reason_of(number));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return refuse(ErrorCode::invalid, reason_of(errno));
  if (S_ISDIR(status.st_mode)) return refuse(ErrorCode::invalid, "it is a directory, not a file");
  std::string content;
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse(ErrorCode::invalid, reason_of(errno));
    if (count == 0) return content;
    if (content.size() + static_cast<std::size_t>(count) > k_most_bytes) return refuse(ErrorCode::invalid, "it is larger than 16 MiB");
    content.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

Result<MergedKubeconfig> read_kubeconfigs(const KubeconfigSource& source) {
  const FoundFiles found = find_files(source);
  MergedKubeconfig merged;
  for (const std::string& path : found.paths) {
    const Result<std::string> content = read_file(path, "kubeconfig ");
    if (!content && content.error().code() == ErrorCode::not_found && !found.must_exist) continue;
    if (!content) return content.error().with_hint(k_where_from);
    const Result<json::Value> document = json::parse_yaml(*content, k_most_bytes);
    if (!document) return document.error().wrap(name_of(path));
    if (document->is_null()) {
      // Beside others an empty file does no harm; kubectl lets it pass, too.
      if (!merged.nothing) merged.nothing = Error(ErrorCode::invalid, name_of(path) + ": it is empty", k_where_from);
      continue;
    }
    if (const std::optional<Error> error = add_file(path, *document, merged)) return *error;
    merged.files.push_back(path);
  }
  if (!merged.files.empty()) {
    merged.nothing.reset();
  } else if (!merged.nothing) {
    merged.nothing = no_files(source, found.paths);
  }
  return merged;
}

}  // namespace vmbackup::kube
