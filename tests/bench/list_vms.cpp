// list-vms KUBECONFIG NAMESPACE  lists all VirtualMachines of a namespace through the client of the product and decodes each; prints how
// many there are. What a command that looks at a whole fleet does before anything else, without the rest of the command.
#include <cstdio>
#include <vector>

#include "base/clock.hpp"
#include "kube/credentials.hpp"
#include "kube/curl_transport.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/rest_client.hpp"
#include "kubevirt/resources.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace {

using namespace vmbackup;

base::Result<std::vector<kubevirt::VirtualMachine>> list(const char* kubeconfig, const char* ns) {
  base::SystemClock clock;
  kube::KubeconfigSource source;
  source.explicit_path = kubeconfig;
  const base::Result<kube::Connection> connection = kube::load_connection(source);
  if (!connection) return connection.error();
  base::Result<std::unique_ptr<kube::Transport>> transport = kube::make_curl_transport(*connection, {}, clock);
  if (!transport) return transport.error();
  const std::unique_ptr<kube::Client> client = kube::make_rest_client(std::move(*transport), clock);
  std::vector<kubevirt::VirtualMachine> vms;
  const kube::ListSink sink{.begin = [&vms] { vms.clear(); },
                            .take = [&vms](const json::Value& item) -> base::Result<void> {
                              base::Result<kubevirt::VirtualMachine> vm = kubevirt::decode_virtual_machine(item);
                              if (!vm) return vm.error();
                              vms.push_back(std::move(*vm));
                              return {};
                            }};
  const base::Result<std::string> done = client->list_each(kubevirt::virtual_machines(), ns, {}, sink, {}, {});
  if (!done) return done.error();
  return vms;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: list-vms KUBECONFIG NAMESPACE\n", stderr);
    return 2;
  }
  const base::Result<std::vector<kubevirt::VirtualMachine>> vms = list(argv[1], argv[2]);
  if (!vms) {
    std::fprintf(stderr, "error: %s\n", vms.error().message().c_str());
    return 1;
  }
  std::printf("%zu\n", vms->size());
  return 0;
}
