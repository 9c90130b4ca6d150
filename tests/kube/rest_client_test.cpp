#include "kube/rest_client.hpp"

#include <doctest/doctest.h>

#include "base/text.hpp"
#include "kube/discovery.hpp"
#include "kube/scripted_transport.hpp"
#include "support/fake_clock.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FakeClock;
using test::Script;

const Resource k_vms{"kubevirt.io", "v1", "virtualmachines", "VirtualMachine"};
const Resource k_pods{"", "v1", "pods", "Pod"};
const Resource k_nodes{"", "v1", "nodes", "Node", false};

std::string status(int code, const std::string& reason, const std::string& message, const std::string& details = "{}") {
  return R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":")" + message + R"(","reason":")" + reason + R"(","details":)" +
         details + R"(,"code":)" + std::to_string(code) + "}";
}

struct Fixture {
  FakeClock clock;
  Script script;
  std::vector<std::string> log;
  std::unique_ptr<Client> client_;
  std::stop_source stop;

  Client& client() {
    if (!client_) {
      client_ = make_rest_client(std::make_unique<test::ScriptedTransport>(script), clock,
                                 [this](const std::string& line) { log.push_back(line); });
    }
    return *client_;
  }
  Call call(base::Duration length = seconds(60)) { return {.deadline = base::Deadline::after(clock, length)}; }
  base::Result<json::Value> get() { return client().get(k_vms, {"prod", "db-0"}, call(), stop.get_token()); }
  base::Result<json::Value> create(const std::string& metadata) {
    return client().create(k_vms, "prod", *json::parse(R"({"metadata":)" + metadata + "}"), call(), stop.get_token());
  }
  base::Result<void> remove(const RemoveOptions& options = {}) {
    return client().remove(k_vms, {"prod", "db-0"}, options, call(), stop.get_token());
  }
};

TEST_CASE_FIXTURE(Fixture, "get asks for the path of the group, and leaves signing to the transport") {
  script.answer(200, R"({"kind":"VirtualMachine"})");
  CHECK(get().value().path({"kind"}).as_string() == "VirtualMachine");
  REQUIRE(script.requests.size() == 1);
  CHECK(script.requests[0].method == "GET");
  CHECK(script.requests[0].target == "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines/db-0");
  CHECK(script.requests[0].headers == test::Headers{{"Accept", "application/json"}});
  REQUIRE(log.size() == 1);
  CHECK(log[0] == "GET /apis/kubevirt.io/v1/namespaces/prod/virtualmachines/db-0 200 0s");
}

TEST_CASE_FIXTURE(Fixture, "core group, cluster scope, subresources") {
  for (int i = 0; i < 3; ++i) script.answer(200, "{}");
  CHECK(client().get(k_pods, {"prod", "a"}, call(), {}));
  CHECK(client().get(k_nodes, {"", "n1"}, call(), {}));
  CHECK(client().get_subresource(k_vms, {"prod", "db-0"}, "log/last line", call(), {}));
  CHECK(script.targets() == std::vector<std::string>{"GET /api/v1/namespaces/prod/pods/a", "GET /api/v1/nodes/n1",
                                                     "GET /apis/kubevirt.io/v1/namespaces/prod/virtualmachines/db-0/log/last%20line"});
}

TEST_CASE_FIXTURE(Fixture, "a name that would change the path is refused and nothing is sent") {
  for (const char* name : {"", ".", "..", "a/b", "a%2fb"}) {
    const auto answer = client().get(k_vms, {"prod", name}, call(), {});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::usage);
  }
  CHECK(client().get(k_vms, {"", "db-0"}, call(), {}).error().code() == ErrorCode::usage);
  CHECK(client().list(k_vms, "../kube-system", {}, call(), {}).error().code() == ErrorCode::usage);
  CHECK(script.requests.empty());
}

TEST_CASE_FIXTURE(Fixture, "list follows the pages and fills in what built-in items lack") {
  script.answer(200, R"({"metadata":{"resourceVersion":"7","continue":"n/1="},"items":[{"metadata":{"name":"a"}}]})");
  script.answer(200, R"({"metadata":{"resourceVersion":"7"},"items":[{"kind":"Own","apiVersion":"x/v9","metadata":{"name":"b"}}]})");
  const auto list = client().list(k_pods, "", {.label_selector = "app in (a,b)", .field_selector = "status.phase=Running"}, call(), {});
  REQUIRE(list);
  CHECK(list->resource_version == "7");
  REQUIRE(list->items.size() == 2);
  CHECK(json::dump(list->items[0]) == R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}})");
  CHECK(list->items[1].path({"kind"}).as_string() == "Own");
  const std::string query = "labelSelector=app%20in%20%28a%2Cb%29&fieldSelector=status.phase%3DRunning&limit=500";
  CHECK(script.targets() == std::vector<std::string>{"GET /api/v1/pods?" + query, "GET /api/v1/pods?" + query + "&continue=n%2F1%3D"});
}

TEST_CASE_FIXTURE(Fixture, "410 in the middle of the pages starts anew, once, without pages") {
  const std::string page = R"({"metadata":{"resourceVersion":"7","continue":"c"},"items":[{"metadata":{"name":"old"}}]})";
  const std::string expired = status(410, "Expired", "the provided continue parameter is too old");
  script.answer(200, page);
  script.answer(410, expired);
  SUBCASE("and gives the whole list") {
    script.answer(200, R"({"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"new"}}]})");
    const auto list = client().list(k_pods, "prod", {}, call(), {});
    REQUIRE(list);
    CHECK(list->resource_version == "9");
    REQUIRE(list->items.size() == 1);
    CHECK(list->items[0].path({"metadata", "name"}).as_string() == "new");
    CHECK(script.targets().back() == "GET /api/v1/namespaces/prod/pods");
  }
  SUBCASE("and gives up when that expires too") {
    script.answer(410, expired);
    const auto list = client().list(k_pods, "prod", {}, call(), {});
    REQUIRE_FALSE(list);
    CHECK(list.error().code() == ErrorCode::unavailable);
    CHECK(list.error().reason() == "Expired");
    CHECK(script.requests.size() == 3);
  }
}

TEST_CASE_FIXTURE(Fixture, "a list can be taken item by item; forgotten in between, it begins again; an error of the taker ends it") {
  script.answer(200, R"({"items":[{"metadata":{"name":"a","managedFields":[{"manager":"m"}]}}],"metadata":{"continue":"c"}})");
  std::vector<std::string> told;
  ListSink sink{.begin = [&] { told.emplace_back("begin"); },
                .take = [&](const json::Value& item) -> base::Result<void> {
                  told.push_back(json::dump(item.path({"metadata"})));
                  return {};
                }};
  SUBCASE("forgotten") {
    script.answer(410, status(410, "Expired", "too old"));
    script.answer(200, R"({"items":[{"metadata":{"name":"b"}}],"metadata":{"resourceVersion":"9"}})");
    const base::Result<std::string> version = client().list_each(k_pods, "prod", {}, sink, call(), {});
    REQUIRE(version);
    CHECK(*version == "9");
    CHECK(told == std::vector<std::string>{"begin", R"({"name":"a"})", "begin", R"({"name":"b"})"});
  }
  SUBCASE("refused") {
    sink.take = [](const json::Value&) -> base::Result<void> { return base::Error(ErrorCode::invalid, "no such thing"); };
    CHECK(client().list_each(k_pods, "prod", {}, sink, call(), {}).error().message() == "no such thing");
    CHECK(script.requests.size() == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "create is strict, and a dry run where asked") {
  script.answer(201, "{}");
  script.answer(201, "{}");
  CHECK(create(R"({"name":"a"})"));
  Call dry = call();
  dry.dry_run = true;
  CHECK(client().create(k_nodes, "", *json::parse(R"({"metadata":{"name":"n"}})"), dry, {}));
  CHECK(script.targets() == std::vector<std::string>{"POST /apis/kubevirt.io/v1/namespaces/prod/virtualmachines?fieldValidation=Strict",
                                                     "POST /api/v1/nodes?fieldValidation=Strict&dryRun=All"});
  CHECK(script.requests[0].body == R"({"metadata":{"name":"a"}})");
  CHECK(script.requests[0].headers.back() == std::pair<std::string, std::string>{"Content-Type", "application/json"});
}

TEST_CASE_FIXTURE(Fixture, "create is repeated only with a name of its own") {
  script.fail(ErrorCode::unavailable, "connection lost");
  SUBCASE("named: the repeat meets what the first try made") {
    script.answer(409, status(409, "AlreadyExists", "already there"));
    const auto answer = create(R"({"name":"a"})");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::already_exists);
    CHECK(answer.error().message() == "create VirtualMachine prod/a: already there");
    CHECK(script.requests.size() == 2);
  }
  SUBCASE("unnamed: once") {
    const auto answer = create(R"({"generateName":"a-"})");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::unavailable);
    CHECK(answer.error().message() == "create VirtualMachine prod/a-: connection lost");
    CHECK(script.requests.size() == 1);
    CHECK(script.deadlines[0].when() == call().deadline.when());
  }
}

TEST_CASE_FIXTURE(Fixture, "patch and put are sent once, with their own types, under the whole deadline") {
  script.answer(503, "");
  CHECK(client().patch(k_vms, {"prod", "db-0"}, PatchType::merge, json::Value::object(), call(), {}).error().code() ==
        ErrorCode::unavailable);
  script.answer(503, "");
  CHECK(client().put_subresource(k_vms, {"prod", "db-0"}, "freeze", {}, call(), {}).error().code() == ErrorCode::unavailable);
  script.answer(200, "");
  CHECK(client().put_subresource(k_vms, {"prod", "db-0"}, "freeze", json::Value::object(), call(), {}).value().is_null());
  REQUIRE(script.requests.size() == 3);
  CHECK(script.requests[0].headers.back().second == "application/merge-patch+json");
  CHECK(script.requests[1].body.empty());
  CHECK(script.requests[2].body == "{}");
  CHECK(script.requests[2].target == "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines/db-0/freeze");
  CHECK(script.deadlines[1].when() == call().deadline.when());
  script.answer(200, "{}");
  CHECK(client().patch(k_vms, {"prod", "db-0"}, PatchType::apply, json::Value::object(), call(), {}));
  CHECK(script.requests[3].target == "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines/db-0?fieldManager=kubectl-vmbackup");
  CHECK(script.requests[3].headers.back().second == "application/apply-patch+yaml");
}

TEST_CASE_FIXTURE(Fixture, "a JSON patch is a list of steps; each kind of patch can be rehearsed") {
  Call dry = call();
  dry.dry_run = true;
  const json::Value steps = json::parse(R"([{"op":"test","path":"/metadata/uid","value":"u-1"},{"op":"remove","path":"/a"}])").value();
  script.answer(200, "{}");
  CHECK(client().patch(k_vms, {"prod", "db-0"}, PatchType::json, steps, dry, {}));
  CHECK(script.requests[0].headers.back().second == "application/json-patch+json");
  CHECK(script.requests[0].body == json::dump(steps));
  script.answer(200, "{}");
  CHECK(client().patch(k_vms, {"prod", "db-0"}, PatchType::apply, json::Value::object(), dry, {}));
  const std::string path = "PATCH /apis/kubevirt.io/v1/namespaces/prod/virtualmachines/db-0";
  CHECK(script.targets() == std::vector<std::string>{path + "?dryRun=All", path + "?fieldManager=kubectl-vmbackup&dryRun=All"});
}

TEST_CASE_FIXTURE(Fixture, "a rehearsed put says so in the body, for KubeVirt reads no query") {
  Call dry = call();
  dry.dry_run = true;
  script.answer(200, "");
  CHECK(client().put_subresource(k_vms, {"prod", "db-0"}, "pause", {}, dry, {}).ok());
  CHECK(script.requests[0].body == R"({"dryRun":["All"]})");
  script.answer(200, "");
  CHECK(client().put_subresource(k_vms, {"prod", "db-0"}, "start", json::Value::object({{"paused", true}}), dry, {}).ok());
  CHECK(script.requests[1].body == R"({"paused":true,"dryRun":["All"]})");
}

TEST_CASE_FIXTURE(Fixture, "remove puts its options in the body") {
  script.answer(200, "{}");
  Call dry = call();
  dry.dry_run = true;
  CHECK(client().remove(k_vms, {"prod", "db-0"}, {.uid = "u-1", .propagation = "Foreground"}, dry, {}));
  CHECK(script.requests[0].method == "DELETE");
  CHECK(script.requests[0].body ==
        R"({"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u-1"},"propagationPolicy":"Foreground","dryRun":["All"]})");
}

TEST_CASE_FIXTURE(Fixture, "remove: another UID is a precondition, a plain conflict stays one") {
  script.answer(409, status(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b"));
  const auto differs = remove({.uid = "a", .propagation = {}});
  REQUIRE_FALSE(differs);
  CHECK(differs.error().code() == ErrorCode::precondition);
  CHECK(differs.error().reason() == "Conflict");
  script.answer(409, status(409, "Conflict", "try again"));
  CHECK(remove().error().code() == ErrorCode::conflict);
}

TEST_CASE_FIXTURE(Fixture, "remove: not found is good only after a try whose answer was lost") {
  script.answer(404, status(404, "NotFound", "not found"));
  CHECK(remove().error().code() == ErrorCode::not_found);
  script.answer(429, "");
  script.answer(404, status(404, "NotFound", "not found"));
  CHECK(remove().error().code() == ErrorCode::not_found);
  script.fail(ErrorCode::unavailable, "connection lost");
  script.answer(404, status(404, "NotFound", "not found"));
  CHECK(remove());
}

TEST_CASE_FIXTURE(Fixture, "codes of answers") {
  struct Row {
    int status;
    const char* reason;
    ErrorCode code;
  };
  const Row rows[] = {{400, "BadRequest", ErrorCode::invalid},
                      {401, "Unauthorized", ErrorCode::unauthenticated},
                      {403, "Forbidden", ErrorCode::forbidden},
                      {404, "NotFound", ErrorCode::not_found},
                      {409, "AlreadyExists", ErrorCode::already_exists},
                      {409, "Conflict", ErrorCode::conflict},
                      {410, "Gone", ErrorCode::unavailable},
                      {412, "", ErrorCode::precondition},
                      {413, "RequestEntityTooLarge", ErrorCode::invalid},
                      {422, "Invalid", ErrorCode::invalid},
                      {429, "TooManyRequests", ErrorCode::unavailable},
                      {500, "InternalError", ErrorCode::unavailable},
                      {504, "Timeout", ErrorCode::unavailable}};
  for (const Row& row : rows) {
    CAPTURE(row.status);
    const base::Error error = error_of_response(test::reply(row.status, status(row.status, row.reason, "the words")), "get X");
    CHECK(error.code() == row.code);
    CHECK(error.message() == "get X: the words");
    CHECK(error.reason() == (row.status == 410 ? "Expired" : row.reason));
  }
}

TEST_CASE("causes are shown as field and message; control characters of the server are made visible") {
  const std::string details =
      R"({"causes":[{"reason":"FieldValueInvalid","message":"must not be","field":"spec.source"},{"message":"alone"},{}]})";
  const base::Error error = error_of_response(test::reply(422, status(422, "Invalid", R"(no\u001b[31m)", details)), "create X");
  CHECK(error.causes() == std::vector<std::string>{"spec.source: must not be", "alone"});
  CHECK(error.message() == "create X: no\\x1b[31m");
}

TEST_CASE("answers that are no Status") {
  const auto message = [](int code, const std::string& body, test::Headers headers = {}) {
    return error_of_response(test::reply(code, body, std::move(headers)), "get X").message();
  };
  CHECK(message(502, "\n <html>bad gateway</html>\nmore") == "get X: the server answered with status 502: <html>bad gateway</html>");
  CHECK(message(500, "") == "get X: the server answered with status 500");
  CHECK(message(503, R"({"kind":"Pod"})") == R"(get X: the server answered with status 503: {"kind":"Pod"})");
  CHECK(message(302, "", {{"location", "https://elsewhere/"}}) ==
        "get X: the server answered with a redirect to https://elsewhere/, which is not followed");
}

TEST_CASE_FIXTURE(Fixture, "a refusal names the command that shows it") {
  script.answer(403, status(403, "Forbidden", "no"));
  CHECK(get().error().hint() == "kubectl auth can-i get virtualmachines.kubevirt.io -n prod");
  script.answer(401, status(401, "Unauthorized", "Unauthorized"));
  CHECK(get().error().hint() == "the server does not accept these credentials, or not any more; see who you are: kubectl auth whoami");
  script.answer(403, status(403, "Forbidden", "no"));
  CHECK(client().put_subresource(k_vms, {"prod", "db-0"}, "freeze", {}, call(), {}).error().hint() ==
        "kubectl auth can-i update virtualmachines.kubevirt.io --subresource=freeze -n prod");
  script.answer(403, status(403, "Forbidden", "no"));
  CHECK(client().list(k_pods, "", {}, call(), {}).error().hint() == "kubectl auth can-i list pods -A");
}

TEST_CASE_FIXTURE(Fixture, "reads are repeated while the server is away, and Retry-After is kept") {
  const base::TimePoint begun = clock.now();
  script.answer(429, status(429, "TooManyRequests", "slow down"), {{"retry-after", "7"}});
  script.answer(503, "", {{"retry-after", "3"}});
  script.fail(ErrorCode::unavailable, "connection lost");
  script.answer(200, "{}");
  CHECK(get());
  CHECK(script.requests.size() == 4);
  CHECK(clock.now() - begun >= seconds(10));
  CHECK(clock.now() - begun < seconds(12));
}

TEST_CASE_FIXTURE(Fixture, "a pause that would pass the deadline is not begun") {
  script.answer(503, "", {{"retry-after", "3600"}});
  const base::TimePoint begun = clock.now();
  CHECK(get().error().code() == ErrorCode::unavailable);
  CHECK(clock.now() == begun);
}

TEST_CASE_FIXTURE(Fixture, "500 is repeated three times, what will not heal never") {
  for (int i = 0; i < 9; ++i) script.answer(500, "");
  CHECK(get().error().code() == ErrorCode::unavailable);
  CHECK(script.requests.size() == 4);
  script.steps.clear();
  script.requests.clear();
  script.fail(ErrorCode::unauthenticated, "the certificate has expired");
  CHECK(get().error().code() == ErrorCode::unauthenticated);
  CHECK(script.requests.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "one try where the caller wants no repeats") {
  script.answer(503, "");
  Call once = call();
  once.repeat = false;
  CHECK(client().get(k_vms, {"prod", "db-0"}, once, {}).error().code() == ErrorCode::unavailable);
  CHECK(script.requests.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a server that was never reached is given up after seconds, one that was after the deadline") {
  for (int i = 0; i < 100; ++i) script.fail(ErrorCode::unavailable, "connection refused");
  const base::TimePoint begun = clock.now();
  CHECK(get().error().message() == "get VirtualMachine prod/db-0: connection refused");
  CHECK(clock.now() - begun >= seconds(4));
  CHECK(clock.now() - begun < seconds(15));
  script.steps.push_front([](const auto&, const auto&) { return test::reply(200, "{}"); });
  CHECK(get());
  const base::TimePoint again = clock.now();
  CHECK(get().error().code() == ErrorCode::unavailable);
  CHECK(clock.now() - again > seconds(45));
}

TEST_CASE_FIXTURE(Fixture, "a silent server does not eat the whole deadline; each try gets longer") {
  std::vector<base::Duration> lengths;
  const Script::Step silent = [&](const HttpRequest&, const base::Deadline& deadline) -> base::Result<HttpResponse> {
    lengths.push_back(deadline.when() - clock.now());
    clock.advance(lengths.back());
    return base::Error(ErrorCode::timeout, "no answer");
  };
  for (int i = 0; i < 10; ++i) script.steps.push_back(silent);
  const auto answer = client().get(k_vms, {"prod", "db-0"}, call(std::chrono::minutes(5)), {});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::timeout);
  REQUIRE(lengths.size() == 4);
  CHECK(lengths[0] == seconds(30));
  CHECK(lengths[1] == seconds(60));
  CHECK(lengths[2] == seconds(120));
  CHECK(lengths[3] < seconds(90));
  script.steps.assign(1, silent);
  CHECK(
      client().list(k_vms, "", {}, {.deadline = base::Deadline::after(clock, std::chrono::hours(1)), .repeat = false}, {}).error().code() ==
      ErrorCode::timeout);
  CHECK(lengths.back() == seconds(120));
}

TEST_CASE_FIXTURE(Fixture, "a stop ends the pause between two tries") {
  script.answer(503, "", {{"retry-after", "30"}});
  clock.after(seconds(1), [this] { stop.request_stop(); });
  const base::TimePoint begun = clock.now();
  CHECK(get().error().code() == ErrorCode::cancelled);
  CHECK(clock.now() - begun == seconds(1));
}

TEST_CASE_FIXTURE(Fixture, "an answer that is no JSON, or no object, is invalid") {
  for (const char* body : {"<html>", "", "[1]", "{\"a\":"}) {
    script.answer(200, body);
    const auto answer = get();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == ErrorCode::invalid);
  }
  CHECK(script.requests.size() == 4);
}

TEST_CASE_FIXTURE(Fixture, "warnings of the server reach the log, made safe") {
  script.answer(200, "{}",
                {{"warning", "299 - \"v1alpha1 is \x1b old\""}, {"warning", "199 - \"not for us\""}, {"warning", "299 - broken"}});
  CHECK(get());
  REQUIRE(log.size() == 2);
  CHECK(log[1] == "warning of the server: v1alpha1 is \\x1b old");
}

TEST_CASE_FIXTURE(Fixture, "served versions, preferred first") {
  script.answer(
      200, R"({"kind":"APIGroup","versions":[{"version":"v1alpha1"},{"version":"v1beta1"}],"preferredVersion":{"version":"v1beta1"}})");
  CHECK(client().served_versions("snapshot.kubevirt.io", call(), {}).value() == std::vector<std::string>{"v1beta1", "v1alpha1"});
  script.answer(200, R"({"kind":"APIVersions","versions":["v1"]})");
  CHECK(client().served_versions("", call(), {}).value() == std::vector<std::string>{"v1"});
  script.answer(404, "404 page not found\n");
  CHECK(client().served_versions("nobody.io", call(), {}).error().code() == ErrorCode::not_found);
  CHECK(script.targets() == std::vector<std::string>{"GET /apis/snapshot.kubevirt.io", "GET /api", "GET /apis/nobody.io"});
}

TEST_CASE_FIXTURE(Fixture, "documents by path, and what they say of the server") {
  script.answer(200, R"({"major":"1","gitVersion":"v1.34.2"})");
  CHECK(server_version(client(), call(), {}).value() == "v1.34.2");
  script.answer(200, R"({"major":"1"})");
  CHECK(server_version(client(), call(), {}).error().code() == ErrorCode::invalid);
  script.answer(200, R"([])");
  CHECK(server_version(client(), call(), {}).error().code() == ErrorCode::invalid);
  script.answer(
      200,
      R"({"groups":[{"name":"a.io","versions":[{"version":"v1"},{"version":"v2"}],"preferredVersion":{"version":"v2"}},{"versions":[]}]})");
  const base::Result<std::vector<ApiGroup>> groups = served_groups(client(), call(), {});
  REQUIRE(groups.ok());
  REQUIRE(groups->size() == 1);
  CHECK(groups->front().versions == std::vector<std::string>{"v2", "v1"});
  script.answer(403, R"({"kind":"Status","code":403,"reason":"Forbidden","message":"no"})");
  CHECK(served_groups(client(), call(), {}).error().code() == ErrorCode::forbidden);
}

TEST_CASE_FIXTURE(Fixture, "the server's time is the Date of an answer") {
  script.answer(200, "{}", {{"date", "Fri, 02 Jan 2026 03:04:05 GMT"}});
  CHECK(base::format_time(client().server_time(call(), {}).value()) == "2026-01-02T03:04:05.000Z");
  script.answer(200, "{}");
  const base::Result<base::WallTime> none = client().server_time(call(), {});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code() == ErrorCode::invalid);
  CHECK(script.targets().back() == "GET /version");
}

TEST_CASE_FIXTURE(Fixture, "watch asks for bookmarks after a version and ends with its handle") {
  const auto queue = std::make_shared<WatchQueue>();
  WatchHandle handle = client().watch(k_vms, "prod", {.label_selector = "a=b", .field_selector = {}, .resource_version = "42"}, queue, 3);
  REQUIRE(script.stream.has_value());
  CHECK(script.targets().back() ==
        "GET "
        "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines?watch=true&allowWatchBookmarks=true&resourceVersion=42&labelSelector=a%3Db");
  script.stream->data("{\"type\":\"ADDED\",\"object\":{\"n\":1}}\n");
  const auto event = queue->pop(clock, base::Deadline::at(clock.now()), {});
  REQUIRE(event.has_value());
  CHECK(event->source == 3);
  CHECK(event->type == WatchEvent::Type::added);
  handle = WatchHandle();
  CHECK_FALSE(script.stream.has_value());
}

TEST_CASE_FIXTURE(Fixture, "watch of an impossible namespace ends at once") {
  const auto queue = std::make_shared<WatchQueue>();
  const WatchHandle handle = client().watch(k_vms, "a/b", {}, queue, 1);
  const auto event = queue->pop(clock, base::Deadline::at(clock.now()), {});
  REQUIRE(event.has_value());
  CHECK(event->type == WatchEvent::Type::ended);
  REQUIRE(event->error.has_value());
  CHECK(event->error->code() == ErrorCode::usage);
  CHECK(script.requests.empty());
}

}  // namespace
}  // namespace vmbackup::kube
