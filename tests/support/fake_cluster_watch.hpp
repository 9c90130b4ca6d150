// Running watches of a FakeCluster.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "support/fake_cluster_selector.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

class Watches {
 public:
  explicit Watches(World& world);
  // Starts one: answers at once with what is missed since resourceVersion (or with all objects where there is none), then with each change.
  // A version that is forgotten gives the error event 410. `fault`: how it will go wrong.
  std::uint64_t start(const Request& request, const Route& route, const Exchange& exchange, const std::optional<Fault>& fault);
  void stop(std::uint64_t number);
  // Ends all: cleanly, or with the error event 410.
  void end_all(bool expired);
  bool watched(const Kind& kind) const;

 private:
  struct Watch {
    const Kind* kind;
    std::string version;  // API version asked for
    std::string ns;
    Selector selector;
    Exchange exchange;
    std::optional<Fault> fault;
    int events = 0;
    std::optional<Timers::Id> bookmark;
    std::optional<Timers::Id> limit;
  };
  void tell(std::uint64_t number, const StoreChange& change);
  // False when the watch ended with it.
  bool send(std::uint64_t number, const std::string& type, json::Value object);
  void end(std::uint64_t number, bool broken);
  void fail(std::uint64_t number, const std::string& message);
  bool fault_due(std::uint64_t number);
  void arm_bookmark(std::uint64_t number);

  World& world_;
  std::map<std::uint64_t, Watch> watches_;
  std::uint64_t last_ = 0;
};

}  // namespace vmbackup::test
