// Folders, kubeconfigs and errors for the tests of kubeconfig*.cpp.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/text.hpp"
#include "kube/kubeconfig.hpp"

namespace vmbackup::test {

inline const std::string k_ca = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n";
inline const std::string k_cert = "-----BEGIN CERTIFICATE-----\nQ0VSVA==\n-----END CERTIFICATE-----\n";
inline const std::string k_key = "-----BEGIN PRIVATE KEY-----\nS0VZ\n-----END PRIVATE KEY-----\n";

// A folder of its own for each test; gone afterwards.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kubeconfig_test.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

// A kubeconfig of one context "c", with these lines in its cluster, user and context.
inline std::string config(const std::string& cluster, const std::string& user = "token: t", const std::string& context = "") {
  const auto block = [](const std::string& lines) {
    std::string out;
    for (const std::string& line : base::split(lines, '\n')) out += "    " + line + "\n";
    return out;
  };
  return "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
         "contexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n" +
         block(context) + "clusters:\n- name: k\n  cluster:\n" + block(cluster) + "users:\n- name: u\n  user:\n" + block(user);
}

inline const std::string k_server = "server: https://example.org:6443";

inline kube::KubeconfigSource from(const std::string& path) {
  kube::KubeconfigSource source;
  source.explicit_path = path;
  return source;
}

inline base::Error error_of(const base::Result<kube::Connection>& result) {
  REQUIRE_FALSE(result.ok());
  return result.error();
}

// `text` without the folder's path, which is another one each time.
inline std::string without(const std::string& folder, std::string text) {
  for (std::size_t at = text.find(folder); at != std::string::npos; at = text.find(folder)) text.replace(at, folder.size(), "DIR");
  return text;
}

}  // namespace vmbackup::test
