#include "base/atomic_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/fake_clock.hpp"

namespace {

using namespace vmbackup;
namespace fs = std::filesystem;
using base::ErrorCode;
using base::Result;

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "atomic.XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string at(const char* name) const { return (path / name).string(); }
  std::size_t files() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator())); }
  fs::path path;
};

void put(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

TEST_CASE("a file is made, read and replaced as a whole") {
  const Folder folder;
  test::FakeClock clock;
  const std::string path = folder.at("x.prom");
  CHECK(base::check_replaceable(path).ok());
  const auto add = [&](const std::string& more) {
    return base::update_file(path, 100, clock, [&more](const std::string& before) -> Result<std::string> { return before + more; });
  };
  umask(0077);
  REQUIRE(add("a").ok());
  const std::string first = folder.at("first");
  fs::create_hard_link(path, first);
  REQUIRE(add("b").ok());
  CHECK(base::read_small_file(path, 100).value() == "ab");
  // Whoever had it open reads the old one to its end.
  CHECK(base::read_small_file(first, 100).value() == "a");
  struct stat found {};
  REQUIRE(stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 07777) == 0644);
  CHECK(folder.files() == 2);
}

TEST_CASE("what cannot be replaced is said before anything is done") {
  const Folder folder;
  fs::create_directory(folder.path / "d");
  fs::create_symlink("x", folder.path / "link");
  put(folder.at("x"), "");
  for (const std::string& path :
       {folder.at("d"), folder.at("link"), folder.at("none/x"), folder.at("x/y"), folder.at("d/"), std::string("/dev/null")}) {
    CAPTURE(path);
    const Result<void> checked = base::check_replaceable(path);
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().code() == ErrorCode::usage);
  }
  CHECK(base::check_replaceable(folder.at("x")).ok());
}

TEST_CASE("what is no small regular file is not read, and not replaced") {
  const Folder folder;
  test::FakeClock clock;
  CHECK(base::read_small_file(folder.at("none"), 3).value().empty());
  put(folder.at("x"), "1234");
  CHECK(base::read_small_file(folder.at("x"), 4).value() == "1234");
  CHECK(base::read_small_file(folder.at("x"), 3).error().code() == ErrorCode::invalid);
  fs::create_symlink("x", folder.path / "link");
  CHECK(base::read_small_file(folder.at("link"), 9).error().code() == ErrorCode::invalid);
  REQUIRE(mkfifo(folder.at("pipe").c_str(), 0600) == 0);
  CHECK(base::read_small_file(folder.at("pipe"), 9).error().code() == ErrorCode::invalid);
  const auto never = [](const std::string&) -> Result<std::string> { return std::string("new"); };
  CHECK_FALSE(base::update_file(folder.at("x"), 3, clock, never).ok());
  CHECK(base::read_small_file(folder.at("x"), 4).value() == "1234");
}

TEST_CASE("an error of the change, or of the folder, leaves all as it was") {
  const Folder folder;
  test::FakeClock clock;
  put(folder.at("x"), "old");
  const auto refuse = [](const std::string&) -> Result<std::string> { return base::Error(ErrorCode::invalid, "no"); };
  CHECK(base::update_file(folder.at("x"), 9, clock, refuse).error().message() == "no");
  CHECK(base::read_small_file(folder.at("x"), 9).value() == "old");
  const auto change = [](const std::string&) -> Result<std::string> { return std::string("new"); };
  CHECK(base::update_file(folder.at("none/x"), 9, clock, change).error().code() == ErrorCode::unavailable);
  fs::create_directory(folder.path / "d");
  CHECK_FALSE(base::update_file(folder.at("d"), 9, clock, change).ok());
  CHECK(folder.files() == 2);
}

TEST_CASE("who holds the folder for long is waited for no longer than two seconds") {
  const Folder folder;
  test::FakeClock clock;
  const int other = open(folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(flock(other, LOCK_EX) == 0);
  const base::TimePoint begin = clock.now();
  CHECK(base::update_file(folder.at("x"), 9, clock, [](const std::string&) -> Result<std::string> { return std::string("new"); }).ok());
  const base::Duration waited = clock.now() - begin;
  CHECK(waited >= std::chrono::milliseconds(1900));
  CHECK(waited <= std::chrono::milliseconds(2100));
  close(other);
}

}  // namespace
