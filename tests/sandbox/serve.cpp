// Starts the cluster and its server, writes the kubeconfig, and serves until the parent is gone.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>

#include "base/text.hpp"
#include "front.hpp"
#include "options.hpp"
#include "server.hpp"

namespace vmbackup::sandbox {

namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

int complain(const std::string& message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return 1;
}

bool write_private(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool whole = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return close(fd) == 0 && whole;
}

std::string kubeconfig_of(const Certificates& certificates, int port) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\nclusters:\n- name: sandbox\n  cluster:\n    server: https://127.0.0.1:" +
         std::to_string(port) + "\n    certificate-authority-data: " + base::base64_encode(certificates.ca_pem) +
         "\ncontexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: admin\n    namespace: default\nusers:\n- name: admin\n "
         " user:\n"
         "    client-certificate-data: " +
         base::base64_encode(certificates.admin.certificate_pem) +
         "\n    client-key-data: " + base::base64_encode(certificates.admin.key_pem) + "\n";
}

std::string random_text() {
  std::random_device random;
  std::ostringstream text;
  for (int i = 0; i < 4; ++i) text << std::hex << random();
  return text.str();
}

// The manifests, and what they start: at the fast pace, whatever comes later.
void load(test::FakeCluster& cluster, const ServeOptions& options, base::Clock& clock) {
  if (options.demo) cluster.apply_manifest(demo_manifest());
  for (const std::string& path : options.load) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) throw std::runtime_error(path + ": cannot be read");
    cluster.apply_manifest(text.str());
  }
  if (options.scale > 0) load_scale(cluster, options, clock);
  const base::TimePoint limit = clock.now() + std::chrono::seconds(2);
  while (!cluster.settled() && clock.now() < limit) {
    const std::optional<base::TimePoint> due = cluster.next_due();
    if (!due) return;
    clock.sleep_until(std::min(*due, limit), {});
    cluster.run_due();
  }
}

// One line for each happening that was not written yet.
class EventFile {
 public:
  EventFile(const test::FakeCluster& cluster, const base::Clock& clock, std::FILE* file) : cluster_(cluster), clock_(clock), file_(file) {}
  void write_new() {
    if (file_ == nullptr) return;
    const std::vector<test::Happening> all = cluster_.happenings_since(written_);
    const base::Duration to_wall = clock_.wall_now().time_since_epoch() - clock_.now().time_since_epoch();
    for (const test::Happening& each : all) {
      const base::WallTime wall(each.time.time_since_epoch() + to_wall);
      json::Value line = json::Value::object({{"event", each.event},
                                              {"mono", static_cast<std::int64_t>(each.time.time_since_epoch().count())},
                                              {"wall", base::format_time(wall)},
                                              {"namespace", each.ns},
                                              {"vm", each.vm}});
      if (!each.claim.empty()) line.set("claim", each.claim);
      if (!each.detail.empty()) line.set("detail", each.detail);
      const std::string text = json::dump(line) + "\n";
      std::fwrite(text.data(), 1, text.size(), file_);
    }
    if (!all.empty()) std::fflush(file_);
    written_ += all.size();
  }

 private:
  const test::FakeCluster& cluster_;
  const base::Clock& clock_;
  std::FILE* file_;
  std::size_t written_ = 0;
};

File open_file(const std::string& path) { return File(path.empty() ? nullptr : std::fopen(path.c_str(), "ae"), std::fclose); }

int parent_descriptor(const ServeOptions& options) {
  return options.parent ? static_cast<int>(syscall(SYS_pidfd_open, *options.parent, 0)) : STDIN_FILENO;
}

}  // namespace

int serve(const ServeOptions& options) {
  std::error_code failed;
  std::filesystem::create_directories(options.state, failed);
  if (failed) return complain(options.state + ": " + failed.message());
  const int parent = parent_descriptor(options);
  if (parent < 0) return complain("process " + std::to_string(options.parent.value_or(0)) + ": " + std::strerror(errno));
  const base::Result<Certificates> certificates = make_certificates(options.certificate);
  if (!certificates) return complain(certificates.error().message());
  const File log = open_file(options.log);
  const File events = open_file(options.events);
  if ((!options.log.empty() && !log) || (!options.events.empty() && !events))
    return complain("the log cannot be written: " + std::string(std::strerror(errno)));

  base::SystemClock clock;
  test::ClusterOptions cluster_options = options.cluster;
  cluster_options.seed = std::random_device()();
  test::FakeCluster cluster(clock, cluster_options, {});
  try {
    load(cluster, options, clock);
  } catch (const std::exception& error) {
    return complain(error.what());
  }
  if (options.demo_speed) cluster.set_speed(test::Speed::demo());

  const base::Result<std::unique_ptr<Server>> server = Server::listen(cluster, certificates.value(), options.http2);
  if (!server) return complain(server.error().message());
  Server& running = *server.value();
  const std::string secret = random_text();
  Front front(cluster, secret, log.get(), [&running] { running.go_away(); });
  const std::string path = std::filesystem::absolute(options.state).string() + "/kubeconfig";
  const std::string control = std::filesystem::absolute(options.state).string() + "/control";
  if (!write_private(control, secret) || !write_private(path, kubeconfig_of(certificates.value(), running.port()))) {
    return complain(path + ": " + std::strerror(errno));
  }
  std::printf("kubeconfig: %s\n", path.c_str());
  std::fflush(stdout);
  EventFile event_file(cluster, clock, events.get());
  running.run(front, parent, !options.parent, [&event_file, &front] {
    front.tick();
    event_file.write_new();
  });
  return 0;
}

}  // namespace vmbackup::sandbox
