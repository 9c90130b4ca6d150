#include "support/fake_cluster_world.hpp"

#include "base/text.hpp"
#include "support/fake_cluster_controllers.hpp"
#include "support/fake_cluster_guest.hpp"
#include "support/fake_cluster_watch.hpp"

namespace vmbackup::test {

Speed Speed::demo() {
  Speed speed;
  speed.react = std::chrono::milliseconds(25);
  speed.bind = std::chrono::milliseconds(50);
  speed.boot = std::chrono::milliseconds(300);
  speed.agent = std::chrono::milliseconds(200);
  speed.freeze = std::chrono::milliseconds(150);
  speed.cut = std::chrono::milliseconds(450);
  speed.ready = std::chrono::milliseconds(600);
  return speed;
}

namespace {

int minor_of(const std::string& version) {
  const std::vector<std::string> parts = base::split(version, '.');
  return parts.size() > 1 ? std::stoi(parts[1]) : 9;
}

}  // namespace

World::World(base::Clock& the_clock, ClusterOptions the_options, std::function<void(base::TimePoint)> alarm)
    : clock(the_clock),
      options(std::move(the_options)),
      timers(the_clock, [this](base::TimePoint when) { arm(when); }),
      store(the_clock, options.seed),
      minor_(minor_of(options.kubevirt)),
      alarm_(std::move(alarm)) {
  watches = std::make_unique<Watches>(*this);
  collector = std::make_unique<Collector>(*this);
  guests = std::make_unique<Guests>(*this);
  vms = std::make_unique<VmController>(*this);
  storage = std::make_unique<StorageController>(*this);
  snapshots = std::make_unique<SnapshotController>(*this);
  contents = std::make_unique<ContentController>(*this);
  install_base(*this);
}

World::~World() = default;

bool World::served(const Kind& kind) const {
  if (kind.group == "snapshot.kubevirt.io") return options.kubevirt_api && options.snapshot_api;
  const bool kubevirt = kind.group == "kubevirt.io" || kind.group == "export.kubevirt.io" || kind.group == "clone.kubevirt.io";
  return !kubevirt || options.kubevirt_api;
}

void World::happened(const std::string& event, const std::string& ns, const std::string& vm, const std::string& detail,
                     const std::string& claim) {
  happenings.push_back({clock.now(), event, ns, vm, claim, detail});
}

void World::tell(const Kind& kind, const json::Value& object, const std::string& type, const std::string& reason,
                 const std::string& message) {
  const std::string ns = namespace_of(object).empty() ? "default" : namespace_of(object);
  const json::Value involved = json::Value::object({{"kind", kind.kind},
                                                    {"namespace", namespace_of(object)},
                                                    {"name", name_of(object)},
                                                    {"uid", uid_of(object)},
                                                    {"apiVersion", kind.api_version()},
                                                    {"resourceVersion", object.path({"metadata", "resourceVersion"})}});
  const json::Value meta = json::Value::object({{"generateName", name_of(object) + "."}, {"namespace", ns}});
  const std::string now = store.now_text();
  store.create(test::kind("Event"), json::Value::object({{"metadata", meta},
                                                         {"involvedObject", involved},
                                                         {"reason", reason},
                                                         {"message", message},
                                                         {"source", json::Value::object({{"component", "virt-controller"}})},
                                                         {"firstTimestamp", now},
                                                         {"lastTimestamp", now},
                                                         {"count", 1},
                                                         {"type", type}}));
}

void World::arm(base::TimePoint when) {
  if (!alarm_ || (!armed_.empty() && *armed_.begin() <= when)) return;
  armed_.insert(when);
  alarm_(when);
}

void World::run_due() {
  {
    const Section section(*this);
    while (!armed_.empty() && *armed_.begin() <= clock.now()) armed_.erase(armed_.begin());
  }
  for (;;) {
    // One action per section, so that hooks run between them.
    const Section section(*this);
    const std::function<void()> action = timers.take_due();
    if (!action) {
      if (const std::optional<base::TimePoint> next = timers.next()) arm(*next);
      return;
    }
    action();
  }
}

void World::forget_requests() {
  forgotten_ += requests.size();
  requests.clear();
}

void World::stop_watch(std::uint64_t number) {
  const Section section(*this);
  watches->stop(number);
}

Section::Section(World& world) : world_(world) {
  world_.mutex.lock();
  ++world_.depth;
}

Section::~Section() {
  if (world_.depth > 1) {
    --world_.depth;
    world_.mutex.unlock();
    return;
  }
  std::deque<std::function<void()>> todo;
  todo.swap(world_.after);
  --world_.depth;
  world_.mutex.unlock();
  for (const std::function<void()>& action : todo) action();
}

}  // namespace vmbackup::test
