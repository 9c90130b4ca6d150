#include "support/fake_cluster_watch.hpp"

#include <algorithm>
#include <charconv>

namespace vmbackup::test {

namespace {

std::int64_t number_of(const std::string& text, std::int64_t fallback) {
  std::int64_t value = fallback;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string query_value(const Request& request, const std::string& key) {
  const auto found = request.query.find(key);
  return found == request.query.end() ? "" : found->second;
}

}  // namespace

Watches::Watches(World& world) : world_(world) {
  world.store.listen([this](const StoreChange& change) {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, watch] : watches_) {
      if (watch.kind == change.kind) numbers.push_back(number);
    }
    for (const std::uint64_t number : numbers) tell(number, change);
  });
}

std::uint64_t Watches::start(const Request& request, const Route& route, const Exchange& exchange, const std::optional<Fault>& fault) {
  const base::Result<Selector> selector =
      Selector::parse(*route.kind, query_value(request, "labelSelector"),
                      route.name.empty() ? query_value(request, "fieldSelector") : "metadata.name=" + route.name);
  if (!selector) {
    exchange.answer(bad_request(selector.error().message()));
    return 0;
  }
  const std::string version = query_value(request, "resourceVersion");
  const std::uint64_t number = ++last_;
  watches_.emplace(number, Watch{route.kind, route.version, route.ns, *selector, exchange, fault, 0, std::nullopt, std::nullopt});
  exchange.started();
  if (fault_due(number)) return 0;
  if (version.empty() || version == "0") {
    for (const json::Value* object : world_.store.list(*route.kind, route.ns)) {
      if (selector.value().matches(*object) && !send(number, "ADDED", *object)) return 0;
    }
  } else if (number_of(version, 0) < world_.store.compacted()) {
    fail(number, "too old resource version: " + version + " (" + std::to_string(world_.store.compacted() + 1) + ")");
    return 0;
  } else {
    // A copy: an event's receiver cannot change the store, but indices are simpler to trust than iterators.
    const std::int64_t from = number_of(version, 0);
    for (std::size_t i = 0; i < world_.store.history().size(); ++i) {
      const StoreChange& change = world_.store.history()[i];
      if (change.version > from && change.kind == route.kind) tell(number, change);
      if (watches_.count(number) == 0) return 0;
    }
  }
  if (query_value(request, "allowWatchBookmarks") == "true" || query_value(request, "allowWatchBookmarks") == "1") arm_bookmark(number);
  const std::int64_t seconds = number_of(query_value(request, "timeoutSeconds"), 2700);
  watches_.at(number).limit = world_.timers.in(std::chrono::seconds(seconds), [this, number] { end(number, false); });
  return number;
}

void Watches::stop(std::uint64_t number) {
  const auto found = watches_.find(number);
  if (found == watches_.end()) return;
  if (found->second.bookmark) world_.timers.cancel(*found->second.bookmark);
  if (found->second.limit) world_.timers.cancel(*found->second.limit);
  watches_.erase(found);
}

void Watches::end_all(bool expired) {
  while (!watches_.empty()) {
    const std::uint64_t number = watches_.begin()->first;
    if (expired) {
      fail(number, "The resourceVersion for the provided watch is too old.");
    } else {
      end(number, false);
    }
  }
}

bool Watches::watched(const Kind& kind) const {
  return std::any_of(watches_.begin(), watches_.end(), [&kind](const auto& each) { return each.second.kind == &kind; });
}

void Watches::tell(std::uint64_t number, const StoreChange& change) {
  const Watch& watch = watches_.at(number);
  if (!watch.ns.empty() && namespace_of(change.object) != watch.ns) return;
  const bool now = change.type != StoreChange::Type::deleted && watch.selector.matches(change.object);
  const bool before = !change.previous.is_null() && watch.selector.matches(change.previous);
  if (now) {
    send(number, before ? "MODIFIED" : "ADDED", change.object);
  } else if (before) {
    // What leaves the selection is told as it was, with the version of the change.
    json::Value last = change.previous;
    last["metadata"].set("resourceVersion", std::to_string(change.version));
    send(number, "DELETED", change.type == StoreChange::Type::deleted ? change.object : last);
  }
}

bool Watches::send(std::uint64_t number, const std::string& type, json::Value object) {
  Watch& watch = watches_.at(number);
  object.set("apiVersion", watch.kind->api_version(watch.version));
  if (type != "BOOKMARK") ++watch.events;
  watch.exchange.event(type, object);
  return !fault_due(number);
}

void Watches::end(std::uint64_t number, bool broken) {
  const auto found = watches_.find(number);
  if (found == watches_.end()) return;
  const Exchange exchange = found->second.exchange;
  stop(number);
  exchange.ended(broken);
}

void Watches::fail(std::uint64_t number, const std::string& message) {
  watches_.at(number).exchange.event("ERROR", status_object(410, "Expired", message));
  end(number, false);
}

bool Watches::fault_due(std::uint64_t number) {
  const Watch& watch = watches_.at(number);
  if (!watch.fault || watch.events < watch.fault->after_events) return false;
  if (watch.fault->action == Fault::Action::expired) {
    fail(number, "too old resource version: 1 (" + std::to_string(world_.store.version()) + ")");
  } else {
    end(number, watch.fault->action == Fault::Action::cut_watch);
  }
  return true;
}

void Watches::arm_bookmark(std::uint64_t number) {
  if (world_.options.bookmarks <= base::Duration::zero()) return;
  watches_.at(number).bookmark = world_.timers.in(world_.options.bookmarks, [this, number] {
    const Watch& watch = watches_.at(number);
    const std::string api_version = watch.kind->api_version(watch.version);
    watch.exchange.event("BOOKMARK",
                         json::Value::object({{"kind", watch.kind->kind},
                                              {"apiVersion", api_version},
                                              {"metadata", json::Value::object({{"resourceVersion", std::to_string(world_.store.version())},
                                                                                {"creationTimestamp", nullptr}})}}));
    arm_bookmark(number);
  });
}

}  // namespace vmbackup::test
