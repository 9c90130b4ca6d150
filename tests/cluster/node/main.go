// Command node plays the one node of a test cluster: kubelet, virt-handler, virt-launcher and the guest inside,
// and the few transitions of CDI that KubeVirt needs. Everything above it (API server, controllers, virt-api,
// virt-controller, CSI sidecars) is the real thing. It knows no KubeVirt types, so one binary serves all versions.
//
//	node run  flags...                      the stand-in; ends with its parent
//	node check-disks DIR...                 verdict on copies of a guest's disks, in disk order, as JSON
//	node check-snapshot flags NAMESPACE VMSNAPSHOT
//	                                        the same for the volumes of a VirtualMachineSnapshot
//
// Flags of `node run`:
//
//	--state DIR                the cluster's state folder: node-events.jsonl is written there, volumes/ is read (required)
//	--kubeconfig FILE          an identity that may impersonate (default STATE/kubeconfig)
//	--node NAME                name of the Node object (default node01)
//	--kubelet-listen ADDR      kubelet API (exec, containerLogs), HTTPS; port 0 = any free port (default 127.0.0.1:0);
//	                           the port is published in the Node's status.daemonEndpoints
//	--kubelet-cert, --kubelet-key FILE      its server certificate (signed by the cluster CA)
//	--kubelet-client-ca FILE   CA of kube-apiserver's client certificate
//	--handler-listen ADDR      virt-handler API, HTTPS; port 0 = any free port (default 127.0.0.1:0); virt-api
//	                           must get the same port as --console-server-port
//	--handler-cert, --handler-key FILE      its server certificate (secret kubevirt-virt-handler-server-certs)
//	--handler-client-ca FILE   kubevirt-ca, which signed virt-api's client certificate
//	--kubevirt-namespace NS    where KubeVirt is installed (default kubevirt)
//	--ready-file FILE          written (atomically) once both servers listen and the Node and the virt-handler pod
//	                           exist: {"kubeletPort":N,"handlerPort":N,"pid":N}
//	--tick D                   pace of the guests' journal (default 10ms)
//	--parent-death=BOOL        end when the process that started this one ends (default true)
//	--watch-pid PID            end when that process ends (default 0: none)
//	--cdi=BOOL                 play CDI (default true)
//
// Flags of `node check-snapshot`: --state DIR (required), --kubeconfig FILE (default STATE/kubeconfig).
//
// Exit codes: 0 done (whatever the verdict), 1 failed, 2 wrong usage.
package main

func main() {}
