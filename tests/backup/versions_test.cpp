#include "backup/versions.hpp"

#include <doctest/doctest.h>

#include "kube/discovery.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

using namespace vmbackup;

namespace {

struct Fixture {
  explicit Fixture(test::ClusterOptions options = {}) : cluster(clock, options) {}
  backup::ClusterVersions read() { return backup::read_versions(cluster, base::Deadline::never(), {}); }
  void refuse(const std::string& path, int status) {
    test::Fault fault;
    fault.action = test::Fault::Action::status;
    fault.path = path;
    fault.status = status;
    fault.times = 100;
    cluster.add_fault(fault);
  }
  test::FakeClock clock;
  test::FakeCluster cluster;
};

}  // namespace

TEST_CASE("everything can be read") {
  Fixture f;
  const backup::ClusterVersions found = f.read();
  CHECK(found.server.version == "v1.34.2");
  CHECK(found.kubevirt.version == "v1.9.0");
  CHECK(found.kubevirt.installed == true);
  REQUIRE(found.apis.size() == 4);
  CHECK(found.apis[2].group == "snapshot.kubevirt.io");
  CHECK(found.apis[2].served == std::vector<std::string>{"v1beta1", "v1alpha1"});
  CHECK(found.apis[2].used == "v1beta1");
  CHECK_FALSE(found.nothing());
}

TEST_CASE("who may not read the KubeVirt object asks virt-api") {
  Fixture f;
  f.refuse("/kubevirts", 403);
  CHECK(f.read().kubevirt.version == "v1.9.0");
  f.refuse("/apis/subresources.kubevirt.io/v1/version", 403);
  const backup::ClusterVersions found = f.read();
  CHECK(found.kubevirt.version.empty());
  CHECK_FALSE(found.kubevirt.installed.has_value());
  REQUIRE(found.kubevirt.error.has_value());
  CHECK(found.kubevirt.error->code() == base::ErrorCode::forbidden);
}

TEST_CASE("what is not served is not installed") {
  Fixture f({.kubevirt_api = false});
  const backup::ClusterVersions found = f.read();
  CHECK(found.kubevirt.installed == false);
  CHECK_FALSE(found.kubevirt.error.has_value());
  CHECK(found.apis[0].served.empty());
  CHECK(found.apis[0].used.empty());
}

TEST_CASE("one part that fails leaves the others") {
  Fixture f;
  f.refuse("/version", 403);
  const backup::ClusterVersions found = f.read();
  CHECK(found.server.error->code() == base::ErrorCode::forbidden);
  CHECK(found.kubevirt.error == std::nullopt);
  CHECK_FALSE(found.nothing());
}

TEST_CASE("a server that knows us not is asked once") {
  Fixture f;
  f.refuse("", 401);
  f.cluster.forget_requests();
  const backup::ClusterVersions found = f.read();
  CHECK(found.nothing());
  CHECK(f.cluster.requests().size() == 1);
}

TEST_CASE("the versions that we know, best first") {
  CHECK(backup::known_versions("snapshot.kubevirt.io") == std::vector<std::string>{"v1beta1", "v1alpha1"});
  CHECK(backup::known_versions("nobody.io").empty());
}
