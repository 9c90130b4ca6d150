// The guests of a FakeCluster, and virt-handler as their warden: freeze, thaw, pause, agent, safety timer, the 5 s poll.
// [kubevirt 1.9.0, pkg/virt-handler/rest/lifecycle.go, pkg/virt-launcher/virtwrap/storage/fsfreeze.go]
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "kube/client.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

// "mode" or "mode:argument", as the knobs freeze, thaw, agent, shutdown are written.
struct Knob {
  std::string mode;
  std::string argument;
  base::Duration duration(base::Duration fallback) const;
  int count(int fallback) const;
};

class Guests {
 public:
  explicit Guests(World& world);

  // The VMI came to Running, or is no more.
  void boot(const kube::Name& name);
  void gone(const kube::Name& name);

  // As virt-api's subresources; they answer now or later. An empty timeout: the body had none.
  using Reply = std::function<void(Answer)>;
  void freeze(const kube::Name& name, std::optional<base::Duration> timeout, const Reply& reply);
  void unfreeze(const kube::Name& name, const Reply& reply);
  Answer pause(const kube::Name& name, bool dry_run);
  Answer unpause(const kube::Name& name, bool dry_run);
  // A raw command to the agent; the error is libvirt's word. Answers now or later.
  using AgentReply = std::function<void(const base::Result<json::Value>&)>;
  void agent_command(const kube::Name& name, const std::string& raw, const AgentReply& reply);
  // guestosinfo, userlist, filesystemlist: every failure is 500 with plain text.
  Answer info(const kube::Name& name, const std::string& what) const;

  bool running(const kube::Name& name) const { return guests_.count(name) > 0; }
  bool connected(const kube::Name& name) const { return running(name) && guests_.at(name).agent; }
  bool frozen(const kube::Name& name) const;
  bool paused(const kube::Name& name) const;
  // "frozen", "paused", "running" or "stopped".
  std::string state(const kube::Name& name) const;
  // The knob as the VMI has it now.
  Knob knob(const kube::Name& name, const std::string& key, const std::string& fallback) const;

 private:
  struct GuestProcess {
    std::optional<base::TimePoint> ends;  // none: when somebody ends it
    int code = 0;
    int signal = 0;    // that ended it
    std::string out;   // as captured
    std::string lock;  // what it holds while it runs
    base::TimePoint locked{};
  };
  struct Guest {
    base::TimePoint booted;
    bool agent = false;   // connected
    bool frozen = false;  // as KubeVirt and the agent see it
    bool writing = true;  // false while frozen; VSS lets go after 10 s by itself
    bool paused = false;
    bool told_frozen = false;  // what the last poll published
    int freezes_failed = 0;
    int thaws_failed = 0;
    std::uint64_t life = 0;  // tells this instance from one of the same name before or after
    std::optional<Timers::Id> safety;
    bool poll_due = false;
    std::map<int, GuestProcess> processes;
    int last_pid = 0;
  };
  Guest* find(const kube::Name& name, std::uint64_t life);
  // What stands in the way before the guest is asked at all.
  std::optional<Answer> refused(const kube::Name& name, const std::string& not_running) const;
  // Runs `act` after `delay`, and answers with what it gives; after 10 s virt-api has given up.
  void ask(const kube::Name& name, const char* what, std::optional<base::Duration> delay, std::function<Answer(Guest&)> act,
           const Reply& reply);
  void now_frozen(const kube::Name& name, Guest& guest, base::Duration timeout);
  void now_thawed(const kube::Name& name, Guest& guest);
  void safety_fired(const kube::Name& name, std::uint64_t life);
  void refresh_agent(const kube::Name& name, std::uint64_t life);
  void connect(const kube::Name& name, Guest& guest, bool connected);
  void plan_poll(const kube::Name& name, Guest& guest);
  void poll(const kube::Name& name, std::uint64_t life);
  bool answers(const kube::Name& name, const Guest& guest) const;
  base::Result<json::Value> agent_answer(const kube::Name& name, Guest& guest, const std::string& command, const json::Value& arguments);
  base::Result<json::Value> guest_exec(const kube::Name& name, Guest& guest, const json::Value& arguments);
  base::Result<json::Value> guest_exec_status(Guest& guest, const json::Value& arguments);
  // What the played program does; false: it is not known.
  bool play(Guest& guest, const std::vector<std::string>& line, const json::Value& arguments, GuestProcess& process);
  void end_process(GuestProcess& process) const;

  World& world_;
  std::map<kube::Name, Guest> guests_;
  std::uint64_t last_life_ = 0;
};

// Sets or takes away one condition of an object's status.
void set_condition(World& world, json::Value& object, const std::string& type, const std::string& status, const std::string& reason = {},
                   const std::string& message = {});
void drop_condition(json::Value& object, const std::string& type);
// The status of a condition; empty where there is none.
std::string condition(const json::Value& object, const std::string& type);
// The guest's name of its disk `number`, from 0: vda, ..., vdz, vdaa, ... [kubevirt 1.9.0, virtwrap/converter, FormatDeviceName]
std::string disk_device(std::size_t number);

}  // namespace vmbackup::test
