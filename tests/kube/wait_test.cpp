#include "kube/wait.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "support/fake_clock.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using base::Result;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using test::FakeClock;

const Resource k_snapshots{"snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshots", "VirtualMachineSnapshot"};
const Resource k_contents{"snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshotcontents", "VirtualMachineSnapshotContent"};

json::Value object(const std::string& name, const std::string& uid, int version) {
  return json::Value::object(
      {{"metadata",
        json::Value::object({{"namespace", "prod"}, {"name", name}, {"uid", uid}, {"resourceVersion", std::to_string(version)}})}});
}

json::Value bookmark(int version) {
  return json::Value::object({{"metadata", json::Value::object({{"resourceVersion", std::to_string(version)}})}});
}

base::Error expired() { return base::Error(ErrorCode::unavailable, "too old").with_reason("Expired"); }
base::Error away() { return base::Error(ErrorCode::unavailable, "connection refused"); }

// Lists from a script, one per kind; watches that the test feeds.
class ScriptedClient final : public Client {
 public:
  struct Watch {
    std::string plural;
    WatchOptions options;
    std::shared_ptr<WatchQueue> queue;
    int source;
    bool open = true;
    bool doubted = false;
  };
  std::map<std::string, std::deque<Result<ListPage>>> lists;
  std::deque<Watch> watches;  // a deque: handles point into it
  int list_count = 0;
  std::vector<Call> list_calls;
  std::vector<ListOptions> list_options;
  std::vector<std::string> pages_from;

  void will_list(const Resource& resource, std::vector<json::Value> items, int version) {
    lists[resource.plural].push_back(ListPage{std::move(items), std::to_string(version), {}});
  }
  // One page, and where the next one begins ("" on the last).
  void will_list_page(const Resource& resource, std::vector<json::Value> items, int version, const std::string& next) {
    lists[resource.plural].push_back(ListPage{std::move(items), std::to_string(version), next});
  }
  // Feeds the watch that is open for that kind.
  void tell(const Resource& resource, WatchEvent::Type type, json::Value value, std::optional<base::Error> error = {}) {
    for (Watch& watch : watches) {
      if (watch.open && watch.plural == resource.plural) {
        watch.queue->push({watch.source, type, std::move(value), std::move(error)});
        return;
      }
    }
    FAIL("no watch is open for " << resource.plural);
  }
  void end(const Resource& resource, std::optional<base::Error> error = {}) {
    tell(resource, WatchEvent::Type::ended, {}, std::move(error));
  }
  std::vector<std::string> versions() const {
    std::vector<std::string> all;
    for (const Watch& watch : watches) all.push_back(watch.options.resource_version);
    return all;
  }
  std::ptrdiff_t open() const {
    return std::count_if(watches.begin(), watches.end(), [](const Watch& watch) { return watch.open; });
  }

  Result<ListPage> list_page(const Resource& resource, const std::string&, const ListOptions& options, const std::string& from,
                             const Call& call, std::stop_token stop) override {
    ++list_count;
    pages_from.push_back(from);
    list_calls.push_back(call);
    list_options.push_back(options);
    if (stop.stop_requested()) return base::Error(ErrorCode::cancelled, "interrupted");
    auto& script = lists[resource.plural];
    REQUIRE_FALSE(script.empty());
    Result<ListPage> answer = script.front();
    // The last one stays, for as often as it is asked.
    if (script.size() > 1) script.pop_front();
    return answer;
  }
  WatchHandle watch(const Resource& resource, const std::string&, const WatchOptions& options, std::shared_ptr<WatchQueue> queue,
                    int source) override {
    Watch& watch = watches.emplace_back(Watch{resource.plural, options, std::move(queue), source});
    return WatchHandle([&watch] { watch.open = false; }, [&watch] { watch.doubted = true; });
  }

  Result<json::Value> get(const Resource&, const Name&, const Call&, std::stop_token) override { return never(); }
  Result<json::Value> create(const Resource&, const std::string&, const json::Value&, const Call&, std::stop_token) override {
    return never();
  }
  Result<json::Value> patch(const Resource&, const Name&, PatchType, const json::Value&, const Call&, std::stop_token) override {
    return never();
  }
  Result<void> remove(const Resource&, const Name&, const RemoveOptions&, const Call&, std::stop_token) override { return never(); }
  Result<json::Value> get_subresource(const Resource&, const Name&, const std::string&, const Call&, std::stop_token) override {
    return never();
  }
  Result<ExecEnd> exec(const Name&, const ExecCommand&, const Call&, std::stop_token) override { return never(); }
  Result<json::Value> put_subresource(const Resource&, const Name&, const std::string&, const json::Value&, const Call&,
                                      std::stop_token) override {
    return never();
  }
  Result<json::Value> get_document(const std::string&, const Call&, std::stop_token) override { return never(); }
  Result<std::vector<std::string>> served_versions(const std::string&, const Call&, std::stop_token) override { return never(); }
  Result<base::WallTime> server_time(const Call&, std::stop_token) override { return never(); }

 private:
  static base::Error never() { return base::Error(ErrorCode::internal, "the follower only lists and watches"); }
};

struct Fixture {
  FakeClock clock;
  ScriptedClient client;
  Follower follower{client, clock};
  std::stop_source stop;

  Result<Change> next(base::Duration within = seconds(60)) { return follower.next(base::Deadline::after(clock, within), stop.get_token()); }
  // "present a/u1", "gone a/u1", "synced", "gap", "lost", or the code of the error.
  std::string words(base::Duration within = seconds(60)) {
    const Result<Change> change = next(within);
    if (!change) return base::to_string(change.error().code());
    const std::string of =
        change->object.path({"metadata", "name"}).as_string() + "/" + change->object.path({"metadata", "uid"}).as_string();
    switch (change->type) {
      case Change::Type::present:
        return "present " + of;
      case Change::Type::gone:
        return "gone " + of;
      case Change::Type::synced:
        return "synced";
      case Change::Type::gap:
        return "gap";
      case Change::Type::lost:
        return "lost";
      case Change::Type::woken:
        return "woken";
    }
    return {};
  }
  // Until the deadline passes.
  std::vector<std::string> all(base::Duration within = seconds(60)) {
    std::vector<std::string> result;
    const base::Deadline deadline = base::Deadline::after(clock, within);
    while (result.size() < 100) {
      result.push_back(words(deadline.remaining(clock)));
      if (result.back() == "timeout") break;
    }
    return result;
  }
};

using Words = std::vector<std::string>;

TEST_CASE_FIXTURE(Fixture, "a list, then synced, then what the watch tells") {
  const int source =
      follower.follow(k_snapshots, "prod", {.label_selector = "a=b", .field_selector = "metadata.name=x", .optional = false});
  CHECK(client.list_count == 0);
  client.will_list(k_snapshots, {object("x", "u1", 5), object("y", "u2", 6)}, 10);
  CHECK(words() == "present x/u1");
  CHECK_FALSE(follower.synced(source));
  CHECK(words() == "present y/u2");
  CHECK_FALSE(follower.synced(source));
  CHECK(words() == "synced");
  CHECK(follower.synced(source));
  REQUIRE(client.watches.size() == 1);
  CHECK(client.watches[0].options.resource_version == "10");
  CHECK(client.watches[0].options.label_selector == "a=b");
  CHECK(client.watches[0].options.field_selector == "metadata.name=x");
  CHECK(client.list_options[0].label_selector == "a=b");
  CHECK(client.list_options[0].field_selector == "metadata.name=x");
  CHECK_FALSE(client.list_calls[0].repeat);
  client.tell(k_snapshots, WatchEvent::Type::modified, object("x", "u1", 11));
  client.tell(k_snapshots, WatchEvent::Type::added, object("z", "u3", 12));
  client.tell(k_snapshots, WatchEvent::Type::deleted, object("y", "u2", 13));
  CHECK(all() == Words{"present x/u1", "present z/u3", "gone y/u2", "timeout"});
}

TEST_CASE_FIXTURE(Fixture, "an empty list says synced too") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots, {}, 10);
  CHECK(all() == Words{"synced", "timeout"});
}

TEST_CASE_FIXTURE(Fixture, "the deadline is kept to the moment, and events wake") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots, {}, 10);
  CHECK(words() == "synced");
  const base::TimePoint begun = clock.now();
  clock.after(seconds(3), [&] { client.tell(k_snapshots, WatchEvent::Type::added, object("x", "u1", 11)); });
  CHECK(words(seconds(20)) == "present x/u1");
  CHECK(clock.now() - begun == seconds(3));
  CHECK(words(seconds(5)) == "timeout");
  CHECK(clock.now() - begun == seconds(8));
}

TEST_CASE_FIXTURE(Fixture, "a stop ends the wait") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots, {}, 10);
  CHECK(words() == "synced");
  clock.after(seconds(2), [&] { stop.request_stop(); });
  const base::TimePoint begun = clock.now();
  CHECK(words() == "cancelled");
  CHECK(clock.now() - begun == seconds(2));
}

TEST_CASE_FIXTURE(Fixture, "a new object under an old name is told as gone and present") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots, {object("x", "u1", 5)}, 10);
  CHECK(words() == "present x/u1");
  CHECK(words() == "synced");
  SUBCASE("when the deletion was not seen") {
    client.tell(k_snapshots, WatchEvent::Type::added, object("x", "u2", 12));
    CHECK(all() == Words{"gone x/u1", "present x/u2", "timeout"});
  }
  SUBCASE("when it comes late") {
    client.tell(k_snapshots, WatchEvent::Type::modified, object("x", "u2", 12));
    client.tell(k_snapshots, WatchEvent::Type::deleted, object("x", "u1", 11));
    CHECK(all() == Words{"gone x/u1", "present x/u2", "timeout"});
  }
  SUBCASE("in order") {
    client.tell(k_snapshots, WatchEvent::Type::deleted, object("x", "u1", 11));
    client.tell(k_snapshots, WatchEvent::Type::added, object("x", "u2", 12));
    CHECK(all() == Words{"gone x/u1", "present x/u2", "timeout"});
  }
}

TEST_CASE_FIXTURE(Fixture, "a watch that ends is begun again where it stopped; bookmarks move that point") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots, {}, 10);
  CHECK(words() == "synced");
  client.tell(k_snapshots, WatchEvent::Type::added, object("x", "u1", 15));
  client.end(k_snapshots);
  CHECK(all(seconds(2)) == Words{"present x/u1", "timeout"});
  client.tell(k_snapshots, WatchEvent::Type::bookmark, bookmark(90));
  client.end(k_snapshots);
  CHECK(all(seconds(2)) == Words{"timeout"});
  client.tell(k_snapshots, WatchEvent::Type::deleted, object("x", "u1", 95));
  client.end(k_snapshots, away());
  CHECK(all(seconds(2)) == Words{"gone x/u1", "timeout"});
  CHECK(client.versions() == Words{"10", "15", "90", "95"});
  CHECK(client.open() == 1);
  CHECK(client.list_count == 1);
}

TEST_CASE_FIXTURE(Fixture, "410: a gap, then only what differs") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots,
                   {object("same", "u1", 1), object("changed", "u2", 2), object("deleted", "u3", 3), object("replaced", "u4", 4)}, 10);
  for (int i = 0; i < 5; ++i) CHECK(next());
  client.lists.clear();
  client.will_list(k_snapshots,
                   {object("same", "u1", 1), object("changed", "u2", 22), object("replaced", "u44", 44), object("new", "u5", 5)}, 50);
  client.end(k_snapshots, expired());
  CHECK(all() == Words{"gap", "present changed/u2", "gone replaced/u4", "present replaced/u44", "present new/u5", "gone deleted/u3",
                       "synced", "timeout"});
  CHECK(client.versions() == Words{"10", "50"});
}

TEST_CASE_FIXTURE(Fixture, "a list of several pages is read as its changes are taken") {
  const int source = follower.follow(k_snapshots, "prod", {});
  client.will_list_page(k_snapshots, {object("a", "u1", 1), object("b", "u2", 2)}, 10, "after-b");
  client.will_list_page(k_snapshots, {object("c", "u3", 3)}, 10, "");
  CHECK(words() == "present a/u1");
  CHECK(words() == "present b/u2");
  CHECK(client.list_count == 1);
  CHECK(follower.knows(source, {"prod", "b"}));
  CHECK_FALSE(follower.knows(source, {"prod", "c"}));
  CHECK_FALSE(follower.knows(source, {"test", "b"}));
  CHECK(words() == "present c/u3");
  CHECK(client.pages_from == Words{"", "after-b"});
  CHECK(all() == Words{"synced", "timeout"});
  CHECK(client.versions() == Words{"10"});
  CHECK(follower.known(source, "prod", "").size() == 3);
  CHECK(follower.known(source, "prod", "b") == std::vector<Name>{{"prod", "b"}});
}

TEST_CASE_FIXTURE(Fixture, "a list that is forgotten between two pages is read anew, all at once") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list_page(k_snapshots, {object("a", "u1", 1), object("b", "u2", 2)}, 10, "after-b");
  client.lists[k_snapshots.plural].push_back(expired());
  client.will_list(k_snapshots, {object("b", "u2", 2), object("c", "u3", 13)}, 20);
  CHECK(all() == Words{"present a/u1", "present b/u2", "present c/u3", "gone a/u1", "synced", "timeout"});
  CHECK(client.pages_from == Words{"", "after-b", ""});
  CHECK(client.list_options[1].page_size == 500);
  CHECK(client.list_options[2].page_size == 0);
  CHECK(client.versions() == Words{"20"});
}

TEST_CASE_FIXTURE(Fixture, "while the server is away, tries come at growing pauses until the deadline, which says why") {
  follower.follow(k_snapshots, "prod", {});
  client.lists[k_snapshots.plural].push_back(away());
  const base::TimePoint begun = clock.now();
  const Result<Change> change = next(minutes(2));
  REQUIRE_FALSE(change);
  CHECK(change.error().code() == ErrorCode::timeout);
  CHECK(change.error().causes() == Words{"connection refused"});
  CHECK(clock.now() - begun == minutes(2));
  CHECK(client.list_count > 8);
  CHECK(client.list_count < 24);
  client.lists.clear();
  client.will_list(k_snapshots, {}, 10);
  CHECK(words(seconds(30)) == "synced");
}

TEST_CASE_FIXTURE(Fixture, "a watch that ends at once and tells nothing is not begun in a tight loop") {
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots, {}, 10);
  CHECK(words() == "synced");
  std::function<void()> kill = [&] {
    if (client.open() > 0) client.end(k_snapshots);
    clock.after(milliseconds(10), kill);
  };
  kill();
  CHECK(words(minutes(1)) == "timeout");
  CHECK(client.watches.size() > 4);
  CHECK(client.watches.size() < 16);
}

TEST_CASE_FIXTURE(Fixture, "one source in trouble does not keep the others from being heard") {
  follower.follow(k_contents, "prod", {});
  const int good = follower.follow(k_snapshots, "prod", {});
  client.lists[k_contents.plural].push_back(away());
  client.will_list(k_snapshots, {}, 10);
  CHECK(words() == "synced");
  const base::TimePoint begun = clock.now();
  clock.after(milliseconds(2500), [&] { client.tell(k_snapshots, WatchEvent::Type::added, object("x", "u1", 11)); });
  const Result<Change> change = next();
  REQUIRE(change);
  CHECK(change->source == good);
  CHECK(clock.now() - begun == milliseconds(2500));
}

TEST_CASE_FIXTURE(Fixture, "what will not heal fails a required source, by list or by watch") {
  follower.follow(k_snapshots, "prod", {});
  for (const ErrorCode code : {ErrorCode::unauthenticated, ErrorCode::forbidden, ErrorCode::not_found, ErrorCode::invalid}) {
    client.lists.clear();
    client.lists[k_snapshots.plural].push_back(base::Error(code, "no"));
    const Result<Change> change = next();
    REQUIRE_FALSE(change);
    CHECK(change.error().code() == code);
    CHECK(change.error().message() == "no");
  }
  client.lists.clear();
  client.will_list(k_snapshots, {}, 10);
  CHECK(words() == "synced");
  client.end(k_snapshots, base::Error(ErrorCode::forbidden, "not any more"));
  CHECK(words() == "forbidden");
}

TEST_CASE_FIXTURE(Fixture, "an optional source is lost once, and the rest goes on") {
  const int optional = follower.follow(k_contents, "prod", {.label_selector = {}, .field_selector = {}, .optional = true});
  follower.follow(k_snapshots, "prod", {});
  client.will_list(k_snapshots, {}, 10);
  SUBCASE("refused at once") { client.lists[k_contents.plural].push_back(base::Error(ErrorCode::forbidden, "no")); }
  SUBCASE("not served") { client.lists[k_contents.plural].push_back(base::Error(ErrorCode::not_found, "no")); }
  const Result<Change> change = next();
  REQUIRE(change);
  CHECK(change->type == Change::Type::lost);
  CHECK(change->source == optional);
  REQUIRE(change->error.has_value());
  CHECK(change->error->message() == "no");
  CHECK(all() == Words{"synced", "timeout"});
  CHECK_FALSE(follower.synced(optional));
  CHECK(client.list_count == 2);
}

TEST_CASE_FIXTURE(Fixture, "an optional source may be lost later, and still heals from what passes") {
  follower.follow(k_contents, "prod", {.label_selector = {}, .field_selector = {}, .optional = true});
  client.will_list(k_contents, {}, 10);
  CHECK(words() == "synced");
  client.end(k_contents, away());
  CHECK(words(seconds(5)) == "timeout");
  CHECK(client.open() == 1);
  client.end(k_contents, base::Error(ErrorCode::forbidden, "no"));
  CHECK(all() == Words{"lost", "timeout"});
  CHECK(client.open() == 0);
}

TEST_CASE_FIXTURE(Fixture, "unfollow ends the watch and drops what was on its way") {
  const int first = follower.follow(k_snapshots, "prod", {});
  const int second = follower.follow(k_contents, "prod", {});
  client.will_list(k_snapshots, {object("x", "u1", 1), object("y", "u2", 2)}, 10);
  client.will_list(k_contents, {object("c", "u3", 3)}, 10);
  CHECK(words() == "present x/u1");
  client.tell(k_snapshots, WatchEvent::Type::added, object("z", "u4", 4));
  follower.unfollow(first);
  CHECK(client.open() == 1);
  CHECK(all() == Words{"present c/u3", "synced", "timeout"});
  CHECK(follower.follow(k_snapshots, "prod", {}) != first);
  CHECK(follower.synced(second));
}

TEST_CASE_FIXTURE(Fixture, "a follower that goes away ends all its watches") {
  {
    Follower other(client, clock);
    other.follow(k_snapshots, "prod", {});
    client.will_list(k_snapshots, {}, 10);
    CHECK(other.next(base::Deadline::after(clock, seconds(1)), {}));
    CHECK(client.open() == 1);
  }
  CHECK(client.open() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a watch that is silent for longer than bookmarks allow is begun again where it stopped") {
  client.will_list(k_snapshots, {object("a", "u1", 5)}, 10);
  follower.follow(k_snapshots, "prod", {});
  CHECK(words() == "present a/u1");
  CHECK(words() == "synced");
  const base::TimePoint begun = clock.now();
  CHECK(words(seconds(100)) == "timeout");
  client.tell(k_snapshots, WatchEvent::Type::bookmark, bookmark(20));
  // A bookmark counts as life.
  CHECK(words(seconds(149)) == "timeout");
  CHECK(client.watches.size() == 1);
  CHECK(words(seconds(2)) == "timeout");
  REQUIRE(client.watches.size() == 2);
  CHECK(client.versions() == std::vector<std::string>{"10", "20"});
  CHECK(client.watches[0].doubted);
  CHECK_FALSE(client.watches[0].open);
  CHECK(client.open() == 1);
  CHECK(clock.now() - begun == seconds(251));
  // No gap: nothing was missed, and nothing is listed again.
  client.tell(k_snapshots, WatchEvent::Type::modified, object("a", "u1", 30));
  CHECK(words() == "present a/u1");
  CHECK(client.list_count == 1);
}

TEST_CASE_FIXTURE(Fixture, "events that came while nobody asked are no silence; who is out of reach is told") {
  client.will_list(k_snapshots, {}, 10);
  follower.follow(k_snapshots, "prod", {});
  CHECK(words() == "synced");
  clock.sleep_until(clock.now() + minutes(30), {});
  client.tell(k_snapshots, WatchEvent::Type::added, object("a", "u1", 30));
  CHECK(words() == "present a/u1");
  CHECK(client.watches.size() == 1);
  const Result<Change> change = next(minutes(10));
  REQUIRE_FALSE(change);
  REQUIRE(change.error().causes().size() == 1);
  CHECK(change.error().causes()[0] == "watch virtualmachinesnapshots: nothing came for 2m30s");
  CHECK(client.watches.size() == 5);
}

}  // namespace
}  // namespace vmbackup::kube
