// Runs an entry point where the compiler has no libFuzzer:
//   NAME_fuzz [--mutate N] FILE|FOLDER...
// Each file as it is, then N changed copies of each; the same ones in every run. A find ends the program and leaves the input in ./find.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

namespace fs = std::filesystem;

// What the signal handler writes: plain memory, set before each run.
const char* running_data = nullptr;
std::size_t running_size = 0;

void keep_find(int signal) {
  std::FILE* file = std::fopen("find", "wb");
  if (file != nullptr) {
    std::fwrite(running_data, 1, running_size, file);
    std::fclose(file);
  }
  static const char k_note[] = "the input is in ./find\n";
  (void)!::write(2, k_note, sizeof k_note - 1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string& input) {
  running_data = input.data();
  running_size = input.size();
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::vector<std::string> read_all(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    if (!fs::is_directory(path)) {
      files.emplace_back(path);
      continue;
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> contents;
  for (const fs::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    contents.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return contents;
}

std::string change(std::string text, const std::vector<std::string>& seeds, std::mt19937& random) {
  static const std::string k_marks = "{}[]:,\"'\\&*!|>-?#%@~ \n\t\r\0\x7f\xff\xe2";
  const auto pick = [&random](std::size_t most) { return most == 0 ? 0 : random() % most; };
  for (std::size_t i = 1 + pick(4); i > 0; --i) {
    const std::size_t at = pick(text.size() + 1);
    switch (pick(6)) {
      case 0:
        text.erase(at, 1 + pick(8));
        break;
      case 1:
        text.insert(at, 1, k_marks[pick(k_marks.size())]);
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 3:
        text.insert(at, text.substr(pick(text.size() + 1), pick(32)));
        break;
      case 4:
        text.resize(at);
        break;
      default: {
        const std::string& other = seeds[pick(seeds.size())];
        text.insert(at, other.substr(pick(other.size() + 1), pick(64)));
      }
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths(argv + 1, argv + argc);
  unsigned long mutations = 0;
  if (paths.size() >= 2 && paths[0] == "--mutate") {
    mutations = std::strtoul(paths[1].c_str(), nullptr, 10);
    paths.erase(paths.begin(), paths.begin() + 2);
  }
  const std::vector<std::string> seeds = read_all(paths);
  if (seeds.empty()) {
    std::fputs("usage: NAME_fuzz [--mutate N] FILE|FOLDER...\n", stderr);
    return 2;
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL, SIGBUS}) std::signal(signal, keep_find);
  std::mt19937 random(1);
  unsigned long runs = 0;
  for (const std::string& seed : seeds) {
    run(seed);
    for (unsigned long i = 0; i < mutations; ++i) run(change(seed, seeds, random));
    runs += 1 + mutations;
  }
  std::printf("%lu inputs, no find\n", runs);
  return 0;
}
