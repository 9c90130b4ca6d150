// What every child of ours begins with. Private to child.cpp and command.cpp.
#pragma once

#include <spawn.h>

#include <csignal>
#include <string>
#include <vector>

namespace vmbackup::base {

// The lines as posix_spawn wants them; they must outlive the result.
inline std::vector<char*> pointers(const std::vector<std::string>& lines) {
  std::vector<char*> out;
  for (const std::string& line : lines) out.push_back(const_cast<char*>(line.c_str()));
  out.push_back(nullptr);
  return out;
}

// No blocked and no ignored signals, and a process group of its own where that is asked for.
class SpawnAttributes {
 public:
  explicit SpawnAttributes(bool own_group) {
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    const int group = own_group ? POSIX_SPAWN_SETPGROUP : 0;
    posix_spawnattr_setflags(&attributes_, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

}  // namespace vmbackup::base
