#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace vmbackup::base {
namespace {

constexpr Duration k_longest_wait = std::chrono::seconds(2);
constexpr Duration k_pause = std::chrono::milliseconds(20);

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }
  bool good() const { return number_ >= 0; }
  // False where the system could not write what it had taken.
  bool close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

struct Place {
  std::string folder;
  std::string name;
};

Place place_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Error failed(const std::string& what, const std::string& path, int number) {
  return Error(ErrorCode::unavailable, what + ' ' + path + ": " + std::strerror(number));
}

// Whoever cannot lock a folder (some network file systems) goes without.
void lock_folder(const Descriptor& folder, Clock& clock) {
  const Deadline deadline = Deadline::after(clock, k_longest_wait);
  while (folder.good() && flock(folder.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK && !deadline.passed(clock)) {
    clock.sleep_until(clock.now() + k_pause, {});
  }
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Result<void> replace(const std::string& path, const Place& place, const std::string& text) {
  // A dot: who reads all files of the folder passes it over.
  std::string beside = place.folder + "/." + place.name + ".XXXXXX";
  Descriptor file(mkostemp(beside.data(), O_CLOEXEC));
  if (!file.good()) return failed("write beside", path, errno);
  const bool written = write_all(file.get(), text) && fchmod(file.get(), 0644) == 0 && fsync(file.get()) == 0 && file.close() &&
                       rename(beside.c_str(), path.c_str()) == 0;
  if (written) return {};
  const int number = errno;
  unlink(beside.c_str());
  return failed("write", path, number);
}

}  // namespace

Result<void> check_replaceable(const std::string& path) {
  const Place place = place_of(path);
  if (place.name.empty()) return Error(ErrorCode::usage, "this names a folder, not a file");
  struct stat found {};
  if (stat(place.folder.c_str(), &found) != 0) {
    return Error(ErrorCode::usage, "folder " + place.folder + ": " + std::strerror(errno));
  }
  if (!S_ISDIR(found.st_mode)) return Error(ErrorCode::usage, place.folder + " is no folder");
  if (faccessat(AT_FDCWD, place.folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return Error(ErrorCode::usage, "folder " + place.folder + " cannot be written: " + std::strerror(errno));
  }
  if (lstat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) return Error(ErrorCode::usage, "it exists and is no regular file");
  return {};
}

Result<std::string> read_small_file(const std::string& path, std::size_t most) {
  // Not blocking: a pipe without a writer would keep us for ever.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file.good() && errno == ENOENT) return std::string();
  if (!file.good() && errno != ELOOP) return failed("read", path, errno);
  struct stat found {};
  if (!file.good() || fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode)) {
    return Error(ErrorCode::invalid, "read " + path + ": it is no regular file");
  }
  std::string text;
  char part[65536];
  for (;;) {
    const ssize_t count = ::read(file.get(), part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed("read", path, errno);
    if (count == 0) return text;
    text.append(part, static_cast<std::size_t>(count));
    if (text.size() > most) {
      return Error(ErrorCode::invalid, "read " + path + ": it is longer than " + std::to_string(most) + " bytes");
    }
  }
}

Result<void> update_file(const std::string& path, std::size_t most, Clock& clock,
                         const std::function<Result<std::string>(const std::string& before)>& change) {
  const Place place = place_of(path);
  const Descriptor folder(open(place.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  lock_folder(folder, clock);
  const Result<std::string> before = read_small_file(path, most);
  if (!before.ok()) return before.error();
  const Result<std::string> after = change(*before);
  if (!after.ok()) return after.error();
  if (Result<void> replaced = replace(path, place, *after); !replaced.ok()) return replaced;
  // So that the new name outlives a crash; the file itself is there already.
  if (folder.good()) (void)fsync(folder.get());
  return {};
}

}  // namespace vmbackup::base
