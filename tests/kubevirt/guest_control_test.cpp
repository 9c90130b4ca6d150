#include "kubevirt/guest_control.hpp"

#include <doctest/doctest.h>

#include "kube/rest_client.hpp"
#include "kube/scripted_transport.hpp"
#include "kubevirt/velero.hpp"
#include "support/fake_clock.hpp"

namespace {

using namespace vmbackup;
using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::FreezeAnswer;
using kubevirt::ThawAnswer;

Result<void> launcher(const std::string& text) {
  return Error(ErrorCode::unavailable,
               "freeze VirtualMachineInstance prod/db-0: Internal error occurred: unexpected return code 400 (400 Bad Request), message: "
               "server error. " +
                   text)
      .with_reason("InternalError");
}

// A client whose server answers once.
struct Server {
  explicit Server(const std::string& body) {
    script.answer(200, body);
    client = kube::make_rest_client(std::make_unique<test::ScriptedTransport>(script), clock);
  }
  test::FakeClock clock;
  test::Script script;
  std::unique_ptr<kube::Client> client;
};

}  // namespace

TEST_CASE("what the answer to a freeze says of the guest") {
  struct Row {
    Result<void> answer;
    FreezeAnswer meaning;
  };
  const Row rows[] = {
      {Result<void>(), FreezeAnswer::frozen},
      {Error(ErrorCode::not_found, "not found"), FreezeAnswer::refused},
      {Error(ErrorCode::conflict, "VM is not running"), FreezeAnswer::refused},
      {Error(ErrorCode::forbidden, "forbidden"), FreezeAnswer::refused},
      {Error(ErrorCode::unauthenticated, "unauthorized"), FreezeAnswer::refused},
      {Error(ErrorCode::unavailable, "too many requests").with_reason("TooManyRequests"), FreezeAnswer::refused},
      {launcher("command Freeze failed: \"failed to freeze VMI, VMI is currently during migration\""), FreezeAnswer::refused},
      {launcher("command Freeze failed: \"QEMU guest agent is not connected\""), FreezeAnswer::refused},
      {launcher("command Freeze failed: \"Requested operation is not valid: domain is not running\""), FreezeAnswer::refused},  // paused
      {launcher("command Freeze failed: \"failed to freeze /data: Device or resource busy\""), FreezeAnswer::failed},
      {launcher("command Freeze failed: \"rpc error: code = DeadlineExceeded\""), FreezeAnswer::unclear},
      {launcher("command Freeze failed: \"Timed out during operation\""), FreezeAnswer::unclear},
      {Error(ErrorCode::unavailable, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"), FreezeAnswer::unclear},
      {Error(ErrorCode::unavailable, "connection lost"), FreezeAnswer::unclear},
      {Error(ErrorCode::timeout, "the deadline passed"), FreezeAnswer::unclear},
      {Error(ErrorCode::cancelled, "given up"), FreezeAnswer::unclear},
  };
  for (const Row& row : rows) {
    CAPTURE((row.answer.ok() ? std::string("ok") : row.answer.error().message()));
    CHECK(kubevirt::freeze_answer(row.answer) == row.meaning);
  }
}

TEST_CASE("what the answer to an unfreeze says of the guest") {
  CHECK(kubevirt::thaw_answer(Result<void>()) == ThawAnswer::thawed);
  CHECK(kubevirt::thaw_answer(launcher("command Unfreeze failed: \"fsfreeze is limited up to 10 seconds\"")) == ThawAnswer::vss_limit);
  CHECK(kubevirt::thaw_answer(Error(ErrorCode::not_found, "not found")) == ThawAnswer::not_running);
  CHECK(kubevirt::thaw_answer(Error(ErrorCode::conflict, "VMI is not running")) == ThawAnswer::not_running);
  const auto agent = [](const char* text) {
    return launcher(std::string("internal error: unable to execute QEMU agent command 'guest-fsfreeze-thaw': ") + text);
  };
  CHECK(kubevirt::thaw_answer(agent("failed to thaw /data: Input/output error")) == ThawAnswer::refused);
  CHECK(kubevirt::thaw_answer(agent("The command guest-fsfreeze-thaw has not been found")) == ThawAnswer::unclear);
  CHECK(kubevirt::thaw_answer(agent("Command guest-fsfreeze-thaw has been disabled: the command is not allowed")) == ThawAnswer::unclear);
  CHECK(kubevirt::thaw_answer(launcher("Requested operation is not valid: domain is not running")) == ThawAnswer::paused);
  CHECK(kubevirt::thaw_answer(launcher("QEMU guest agent is not connected")) == ThawAnswer::unclear);
  CHECK(kubevirt::thaw_answer(Error(ErrorCode::unauthenticated, "unauthorized")) == ThawAnswer::unclear);
}

TEST_CASE("the safety timeout goes out in whole seconds") {
  Server server("");
  REQUIRE(kubevirt::freeze(*server.client, {"prod", "db-0"}, std::chrono::seconds(90), {}, {}).ok());
  CHECK(server.script.requests.front().body == "{\"unfreezeTimeout\":\"90s\"}");
  CHECK(server.script.targets().front() == "PUT /apis/subresources.kubevirt.io/v1/namespaces/prod/virtualmachineinstances/db-0/freeze");
}

TEST_CASE("commands that the agent lacks or does not allow") {
  const auto disabled = [](const std::string& commands) {
    Server server("{\"os\":{\"id\":\"debian\"},\"supportedCommands\":[" + commands + "]}");
    const Result<kubevirt::GuestInfo> info = kubevirt::guest_info(*server.client, {"prod", "db-0"}, {}, {});
    REQUIRE(info.ok());
    CHECK(info->os_id == "debian");
    return info->disabled;
  };
  const std::string thaw = R"({"name":"guest-fsfreeze-thaw","enabled":true},{"name":"guest-fsfreeze-status","enabled":true})";
  CHECK(disabled("").empty());
  CHECK(disabled(R"({"name":"guest-fsfreeze-freeze","enabled":true},)" + thaw).empty());
  // As a frozen agent has it.
  CHECK(disabled(R"({"name":"guest-fsfreeze-freeze","enabled":false},)" + thaw).empty());
  CHECK(disabled(thaw) == std::vector<std::string>{"guest-fsfreeze-freeze"});
  CHECK(disabled(R"({"name":"guest-ping","enabled":true})").size() == 3);
}

TEST_CASE("file systems: whole or cut off at ten, and none at all is no fact") {
  const auto listed = [](int count) {
    std::string disks;
    for (int i = 0; i < count; ++i) {
      disks += std::string(i == 0 ? "" : ",") + R"({"diskName":"vda1","mountPoint":"/","fileSystemType":"ext4","usedBytes":5000000000,
          "totalBytes":5000000000,"disk":[{"serial":"R1","busType":"virtio"},{"busType":"virtio"}]})";
    }
    Server server("{\"os\":{},\"fsInfo\":{\"disks\":" + (count == 0 ? "null" : "[" + disks + "]") + "}}");
    const Result<kubevirt::GuestInfo> info = kubevirt::guest_info(*server.client, {"prod", "db-0"}, {}, {});
    REQUIRE(info.ok());
    CHECK(static_cast<int>(info->file_systems.list.size()) == count);
    if (count > 0) CHECK(info->file_systems.list[0].serials == std::vector<std::string>{"R1", ""});
    return info->file_systems.whole;
  };
  CHECK_FALSE(listed(0));
  CHECK(listed(9));
  CHECK_FALSE(listed(10));
  Server server(R"({"items":[{"diskName":"dm-0","mountPoint":"/","fileSystemType":"xfs","usedBytes":0,"totalBytes":0}]})");
  const Result<kubevirt::FileSystems> all = kubevirt::file_systems(*server.client, {"prod", "db-0"}, {}, {});
  REQUIRE(all.ok());
  CHECK(all->whole);
  CHECK(all->list[0].device == "dm-0");
  CHECK(all->list[0].type == "xfs");
}

TEST_CASE("answers to pause and unpause") {
  using base::Error;
  using base::ErrorCode;
  using kubevirt::PauseAnswer;
  using kubevirt::UnpauseAnswer;
  CHECK(kubevirt::pause_answer(Result<void>()) == PauseAnswer::paused);
  CHECK(kubevirt::pause_answer(Error(ErrorCode::conflict, "VMI is already paused")) == PauseAnswer::refused);
  CHECK(kubevirt::pause_answer(Error(ErrorCode::forbidden, "no")) == PauseAnswer::refused);
  CHECK(kubevirt::pause_answer(Error(ErrorCode::invalid, "no").with_reason("BadRequest")) == PauseAnswer::refused);
  CHECK(kubevirt::pause_answer(Error(ErrorCode::invalid, "not JSON")) == PauseAnswer::unclear);
  CHECK(kubevirt::pause_answer(Error(ErrorCode::timeout, "no answer")) == PauseAnswer::unclear);
  CHECK(kubevirt::pause_answer(Error(ErrorCode::internal, "command Pause failed")) == PauseAnswer::unclear);
  CHECK(kubevirt::unpause_answer(Result<void>()) == UnpauseAnswer::running);
  CHECK(kubevirt::unpause_answer(Error(ErrorCode::conflict, "x: VMI is not paused")) == UnpauseAnswer::not_paused);
  CHECK(kubevirt::unpause_answer(Error(ErrorCode::conflict, "x: VMI is not running")) == UnpauseAnswer::not_running);
  CHECK(kubevirt::unpause_answer(Error(ErrorCode::not_found, "gone")) == UnpauseAnswer::not_running);
  CHECK(kubevirt::unpause_answer(Error(ErrorCode::conflict, "x: VM snapshot is in progress")) == UnpauseAnswer::snapshot);
  CHECK(kubevirt::unpause_answer(Error(ErrorCode::unavailable, "away")) == UnpauseAnswer::unclear);
}

TEST_CASE("Velero backups that are at work on a namespace") {
  const auto found = [](const std::string& phase, const std::string& spec) {
    Server server(R"({"items":[{"metadata":{"namespace":"velero","name":"nightly"},"spec":)" + spec + R"(,"status":{"phase":")" + phase +
                  "\"}}],\"metadata\":{}}");
    const Result<std::vector<std::string>> busy = kubevirt::velero_backups_of(*server.client, {"prod"}, {}, {});
    REQUIRE(busy.ok());
    return !busy->empty();
  };
  CHECK(found("InProgress", "{}"));
  CHECK(found("InProgress", R"({"includedNamespaces":["test","prod"]})"));
  CHECK(found("InProgress", R"({"includedNamespaces":["*"]})"));
  CHECK_FALSE(found("InProgress", R"({"includedNamespaces":["test"]})"));
  CHECK_FALSE(found("InProgress", R"({"includedNamespaces":["*"],"excludedNamespaces":["prod"]})"));
  CHECK_FALSE(found("Completed", "{}"));
}
